/** In each notebook's toolbar: whether its cells are recorded. A click shows the panel. */

import { ReactWidget, UseSignal } from "@jupyterlab/ui-components";
import type { CommandRegistry } from "@lumino/commands";
import * as React from "react";

import { Commands } from "./ids";
import { count } from "./words";
import type { Watch } from "./watch";

type Kind = "on" | "paused" | "trouble" | "off";

const WORDS: Record<Kind, string> = {
  on: "Recording",
  paused: "Paused",
  trouble: "In trouble",
  off: "Not recording"
};

export class Indicator extends ReactWidget {
  constructor(
    private readonly _watch: Watch,
    private readonly _commands: CommandRegistry
  ) {
    super();
    this.addClass("ips-Indicator");
  }

  override render(): React.JSX.Element {
    return (
      <UseSignal signal={this._watch.changed}>
        {() => {
          const [kind, more] = told(this._watch);
          return (
            <button
              type="button"
              className={`ips-Indicator-button ips-mod-${kind}`}
              title={`${more}\nClick to see the sessions.`}
              aria-label={`${WORDS[kind]}: show the sessions`}
              onClick={() => void this._commands.execute(Commands.openPanel)}
            >
              <span className="ips-Indicator-dot" aria-hidden="true" />
              {WORDS[kind]}
            </button>
          );
        }}
      </UseSignal>
    );
  }
}

function told(watch: Watch): [Kind, string] {
  const recording = watch.document?.recording;
  if (watch.error) {
    return ["trouble", watch.error];
  }
  if (!recording) {
    return ["off", "Cells are not recorded: run %load_ext ipysession."];
  }
  const said = `${recording.title} · ${count(recording.steps, "step")}`;
  if (recording.trouble) {
    return ["trouble", `${said}\n${recording.trouble}.`];
  }
  if (recording.state === "running") {
    return ["on", said];
  }
  return recording.state === "paused"
    ? ["paused", `${said}\n%session continue goes on.`]
    : ["trouble", `${said}\nRecording ended: ${recording.state}.`];
}
