/** The Sessions panel: what was recorded, searchable and in groups. */

import { UseSignal, historyIcon, ReactWidget, refreshIcon } from "@jupyterlab/ui-components";
import type { CommandRegistry } from "@lumino/commands";
import type { Message as WidgetMessage } from "@lumino/messaging";
import * as React from "react";

import { Commands, PANEL } from "./ids";
import type { GroupName, Listing } from "./listing";
import { Badge, Message, MoreButton, openMenu, Tags } from "./pieces";
import type { Session } from "./types";
import { agoShort, bytes, count, duration, moment } from "./words";

const TITLES: Record<GroupName, string> = {
  notebook: "This notebook",
  running: "Running",
  resumable: "Can be resumed",
  older: "Older"
};

export class SessionsPanel extends ReactWidget {
  constructor(
    readonly listing: Listing,
    private readonly _commands: CommandRegistry
  ) {
    super();
    this.id = PANEL;
    this.addClass("ips-Panel");
    this.title.icon = historyIcon;
    // Notebook 7 names the entry of its View menu by this.
    this.title.caption = "Sessions";
    this.node.setAttribute("role", "region");
    this.node.setAttribute("aria-label", "Sessions");
  }

  /** The session that was chosen last, for commands that name none. */
  selected: string | null = null;

  override render(): React.JSX.Element {
    return (
      <UseSignal signal={this.listing.changed}>
        {() => (
          <PanelView
            listing={this.listing}
            commands={this._commands}
            onSelect={id => {
              this.selected = id;
            }}
          />
        )}
      </UseSignal>
    );
  }

  protected override onAfterShow(message: WidgetMessage): void {
    super.onAfterShow(message);
    this.listing.setVisible(true);
  }

  protected override onAfterAttach(message: WidgetMessage): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this.listing.setVisible(true);
    }
  }

  protected override onAfterHide(message: WidgetMessage): void {
    super.onAfterHide(message);
    this.listing.setVisible(false);
  }

  protected override onActivateRequest(message: WidgetMessage): void {
    super.onActivateRequest(message);
    this.node.querySelector("input")?.focus();
  }
}

interface ViewProps {
  listing: Listing;
  commands: CommandRegistry;
  onSelect: (id: string) => void;
}

function PanelView(props: ViewProps): React.JSX.Element {
  const { listing, commands } = props;
  return (
    <>
      <div className="ips-Panel-head">
        <h2 className="ips-Panel-title">Sessions</h2>
        <button
          className="ips-IconButton"
          type="button"
          aria-label="Refresh the sessions"
          title="Refresh"
          onClick={() => void commands.execute(Commands.refresh)}
        >
          <refreshIcon.react tag="span" elementSize="normal" />
        </button>
      </div>
      <div className="ips-Search" role="search">
        <input
          type="search"
          className="jp-mod-styled"
          placeholder="Search titles, code, tags"
          aria-label="Search sessions"
          value={listing.text}
          onChange={event => listing.search(event.currentTarget.value)}
          onKeyDown={event => {
            if (event.key === "ArrowDown") {
              event.preventDefault();
              event.currentTarget
                .closest(".ips-Panel")
                ?.querySelector<HTMLElement>(".ips-Item-main")
                ?.focus();
            }
          }}
        />
      </div>
      <div className="ips-visually-hidden" role="status">
        {listing.status === "ready" ? count(listing.total, "session") : ""}
      </div>
      <Groups {...props} />
    </>
  );
}

function Groups(props: ViewProps): React.JSX.Element {
  const { listing } = props;
  if (listing.status === "no-server") {
    return (
      <Message title="Sessions need a Jupyter server">
        <p>
          This site runs without one, or its server has no ipysession. Where you start Jupyter
          yourself, <code>pip install ipysession</code> brings both.
        </p>
      </Message>
    );
  }
  if (listing.status === "error" && listing.isEmpty) {
    return (
      <Message title="The sessions cannot be listed" role="alert">
        <p>{listing.error}</p>
        <button
          type="button"
          className="jp-mod-styled jp-mod-minimal"
          onClick={() => void listing.refresh()}
        >
          Try again
        </button>
      </Message>
    );
  }
  if (listing.status === "loading") {
    return <Skeleton />;
  }
  if (listing.isEmpty && listing.text.trim()) {
    return <Message title={`Nothing matches “${listing.text.trim()}”`} />;
  }
  if (listing.isEmpty) {
    return (
      <Message title="No sessions yet">
        <p>
          Run <code>%load_ext ipysession</code> in a notebook: from then on each cell is recorded,
          and a dead kernel comes back with its variables.
        </p>
      </Message>
    );
  }
  const mine = new Set(listing.groups.notebook?.sessions.map(session => session.id));
  return (
    <div
      className="ips-Groups"
      onKeyDown={event => onKey(event, props.commands)}
      onFocus={event => {
        const id = sessionOf(event.target);
        if (id) {
          props.onSelect(id);
        }
      }}
    >
      {listing.status === "error" && (
        <div className="ips-Notice" role="alert">
          {listing.error}
        </div>
      )}
      {(Object.keys(TITLES) as GroupName[]).map(name => (
        <GroupView key={name} name={name} mine={mine} {...props} />
      ))}
    </div>
  );
}

function GroupView(
  props: ViewProps & { name: GroupName; mine: ReadonlySet<string> }
): React.JSX.Element | null {
  const { listing, commands, name, mine } = props;
  const [isOpen, setOpen] = React.useState(true);
  const group = listing.groups[name];
  const sessions = (group?.sessions ?? []).filter(
    session => name === "notebook" || !mine.has(session.id)
  );
  if (group === undefined || sessions.length === 0) {
    return null;
  }
  const hidden = group.sessions.length - sessions.length;
  return (
    <section className="ips-Group" aria-label={TITLES[name]}>
      <h3>
        <button
          type="button"
          className="ips-Group-title"
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        >
          <span className="ips-Group-caret" aria-hidden="true" />
          {TITLES[name]}
          <span className="ips-Group-count">{(group.total - hidden).toLocaleString("en")}</span>
        </button>
      </h3>
      {isOpen && (
        <ul className="ips-List">
          {sessions.map(session => (
            <Item key={session.id} session={session} commands={commands} />
          ))}
        </ul>
      )}
      {isOpen && group.next && (
        <button
          type="button"
          className="ips-More jp-mod-styled jp-mod-minimal"
          onClick={() => void listing.more(name)}
        >
          Show more
        </button>
      )}
    </section>
  );
}

const Item = React.memo(function Item(props: {
  session: Session;
  commands: CommandRegistry;
}): React.JSX.Element {
  const { session, commands } = props;
  const facts = [duration(session.cell_seconds), bytes(session.bytes)];
  const where = session.path ?? session.current_notebook ?? session.notebook ?? session.cwd;
  const about = [
    session.title,
    where,
    `${session.id} · ${moment(session.updated)}`,
    session.reason
  ];
  return (
    <li
      className="ips-Item"
      data-session={session.id}
      onContextMenu={event => {
        event.preventDefault();
        event.stopPropagation();
        openMenu(commands, session, event.currentTarget);
      }}
    >
      <button
        type="button"
        className="ips-Item-main"
        title={about.filter(Boolean).join("\n")}
        onClick={() => void commands.execute(Commands.open, { session: session.id })}
      >
        <span className="ips-Item-row">
          <span className="ips-Item-title">{session.title || session.id}</span>
          <Badge state={session.state} />
        </span>
        <span className="ips-Item-row ips-Item-facts">
          <span className="ips-Item-title">
            {count(session.steps, "step")}
            {session.failures > 0 && (
              <span className="ips-Item-failures">, {session.failures} failed</span>
            )}
            {facts.filter(Boolean).map(fact => ` · ${fact}`)}
          </span>
          <span className="ips-Item-when">{agoShort(session.updated)}</span>
        </span>
        <Tags tags={session.tags} />
      </button>
      <MoreButton commands={commands} session={session} />
    </li>
  );
});

function Skeleton(): React.JSX.Element {
  return (
    <div className="ips-Skeleton" role="status" aria-label="The sessions are being listed">
      {[1, 2, 3, 4, 5].map(number => (
        <div key={number} className="ips-Skeleton-row" />
      ))}
    </div>
  );
}

function sessionOf(target: EventTarget): string | null {
  const item = target instanceof Element ? target.closest<HTMLElement>(".ips-Item") : null;
  return item?.dataset.session ?? null;
}

/** Arrows walk through the items, of all groups; the usual keys act on the one in focus. */
function onKey(event: React.KeyboardEvent<HTMLElement>, commands: CommandRegistry): void {
  const session = sessionOf(event.target);
  if (session === null || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const items = [...event.currentTarget.querySelectorAll<HTMLElement>(".ips-Item-main")];
  const own = items.findIndex(item => sessionOf(item) === session);
  const go: Record<string, number> = {
    ArrowDown: own + 1,
    ArrowUp: own - 1,
    Home: 0,
    End: items.length - 1
  };
  const next = go[event.key];
  if (next !== undefined) {
    items[Math.max(0, Math.min(next, items.length - 1))]?.focus();
  } else if (event.key === "Delete") {
    void commands.execute(Commands.remove, { session });
  } else if (event.key === "F2") {
    void commands.execute(Commands.rename, { session });
  } else {
    return;
  }
  event.preventDefault();
}
