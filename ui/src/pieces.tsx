/** Small pieces that the panel and the tabs share. */

import { ellipsesIcon } from "@jupyterlab/ui-components";
import type { CommandRegistry } from "@lumino/commands";
import { Menu } from "@lumino/widgets";
import * as React from "react";

import { ACTIONS } from "./ids";
import type { Session, SessionState } from "./types";
import { STATES } from "./words";

export function Badge(props: { state: SessionState }): React.JSX.Element {
  return <span className={`ips-Badge ips-mod-${props.state}`}>{STATES[props.state]}</span>;
}

export function Tags(props: { tags: readonly string[] }): React.JSX.Element | null {
  if (props.tags.length === 0) {
    return null;
  }
  return (
    <span className="ips-Tags">
      {props.tags.map(tag => (
        <span className="ips-Tag" key={tag}>
          {tag}
        </span>
      ))}
    </span>
  );
}

/** A page that has nothing else to show: why, and what to do. */
export function Message(props: {
  title: string;
  children?: React.ReactNode;
  role?: "alert" | "status";
}): React.JSX.Element {
  return (
    <div className="ips-Message" role={props.role ?? "status"}>
      <p className="ips-Message-title">{props.title}</p>
      {props.children}
    </div>
  );
}

export function MoreButton(props: {
  commands: CommandRegistry;
  session: Session;
  tabIndex?: number;
}): React.JSX.Element {
  const { commands, session, tabIndex } = props;
  return (
    <button
      className="ips-IconButton"
      type="button"
      aria-haspopup="menu"
      aria-label={`Actions for ${session.title}`}
      title="Actions"
      tabIndex={tabIndex}
      onClick={event => openMenu(commands, session, event.currentTarget)}
    >
      <ellipsesIcon.react tag="span" elementSize="normal" />
    </button>
  );
}

/** The menu of a session's actions, below `anchor`. */
export function openMenu(commands: CommandRegistry, session: Session, anchor: Element): void {
  const menu = new Menu({ commands });
  menu.addClass("ips-Menu");
  for (const command of ACTIONS) {
    if (command === null) {
      menu.addItem({ type: "separator" });
    } else {
      menu.addItem({ command, args: { session: session.id } });
    }
  }
  menu.aboutToClose.connect(() => {
    // Its commands still need it: it goes after them, and the focus goes back.
    setTimeout(() => {
      menu.dispose();
      if (document.activeElement === document.body && anchor instanceof HTMLElement) {
        anchor.focus();
      }
    }, 0);
  });
  const box = anchor.getBoundingClientRect();
  menu.open(box.left, box.bottom);
  menu.activeIndex = 0;
}
