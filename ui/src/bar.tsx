/** A quiet line above a notebook's cells: what there is to bring back, and what came of it. */

import type { NotebookPanel } from "@jupyterlab/notebook";
import { closeIcon, historyIcon, ReactWidget } from "@jupyterlab/ui-components";
import * as React from "react";

export interface Choice {
  label: string;
  isMain?: boolean;
  run: () => void;
}

export interface Line {
  text: string;
  choices?: readonly Choice[];
  isBusy?: boolean;
  isTrouble?: boolean;
  onClose?: () => void;
}

/** What a line is about; a newer one about the same takes its place. */
export type Subject = "resume" | "restore";

/** The lines above one notebook. */
export class Lines {
  constructor(private readonly _panel: NotebookPanel) {}

  show(subject: Subject, line: Line): void {
    const shown = this._shown.get(subject);
    if (shown && !shown.isDisposed) {
      shown.line = line;
      shown.update();
      return;
    }
    const bar = new Bar(line, () => this.hide(subject));
    this._shown.set(subject, bar);
    this._panel.contentHeader.addWidget(bar);
  }

  hide(subject: Subject): void {
    this._shown.get(subject)?.dispose();
    this._shown.delete(subject);
  }

  has(subject: Subject): boolean {
    return this._shown.has(subject);
  }

  private readonly _shown = new Map<Subject, Bar>();
}

class Bar extends ReactWidget {
  constructor(
    public line: Line,
    private readonly _close: () => void
  ) {
    super();
    this.addClass("ips-Bar");
    this.node.setAttribute("role", "status");
    this.node.setAttribute("aria-label", "Sessions");
  }

  override render(): React.JSX.Element {
    const { line } = this;
    return (
      <div className={`ips-Bar-line ${line.isTrouble ? "ips-mod-trouble" : ""}`}>
        <historyIcon.react tag="span" elementSize="normal" className="ips-Bar-icon" />
        <span className="ips-Bar-text" title={line.text}>
          {line.text}
        </span>
        {(line.choices ?? []).map(choice => (
          <button
            key={choice.label}
            type="button"
            className={`jp-mod-styled ${choice.isMain ? "jp-mod-accept" : "jp-mod-minimal"}`}
            onClick={choice.run}
          >
            {choice.label}
          </button>
        ))}
        {!line.isBusy && (
          <button
            type="button"
            className="ips-IconButton"
            aria-label="Close"
            title="Close"
            onClick={() => {
              line.onClose?.();
              this._close();
            }}
          >
            <closeIcon.react tag="span" elementSize="normal" />
          </button>
        )}
      </div>
    );
  }
}
