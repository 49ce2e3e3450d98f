/**
 * One open notebook: what its kernel records, and what there is to bring back. It asks the server
 * when the notebook is opened, its kernel changes, restarts or dies, and when an event says so.
 */

import type { ISessionContext } from "@jupyterlab/apputils";
import { NotebookActions, type NotebookPanel } from "@jupyterlab/notebook";
import type { CommandRegistry } from "@lumino/commands";
import { Signal, type ISignal } from "@lumino/signaling";

import { Problem, textOf, type Api } from "./api";
import { Lines } from "./bar";
import { tellResumed } from "./dialogs";
import type { Events, SessionChange } from "./events";
import { Commands } from "./ids";
import { restorableCells, restore, type Found } from "./restore";
import type { NotebookDocument, Resumable, Resumed } from "./types";
import { ago, count, duration } from "./words";

/** Milliseconds between two questions for one notebook, however often something happens. */
const REST = 700;

/** Milliseconds until it is asked again whether trouble is over. */
const IN_TROUBLE = 10_000;

/**
 * When to look after a kernel died or was restarted, in milliseconds: its process may take a
 * moment to be gone, and the new kernel's first sign of life can get lost on its way.
 */
const AFTER_DEATH = [700, 2000, 5000, 10_000];

export class Watch {
  constructor(
    readonly panel: NotebookPanel,
    private readonly _api: Api,
    private readonly _commands: CommandRegistry,
    events: Events
  ) {
    this.lines = new Lines(panel);
    const context = panel.sessionContext;
    context.statusChanged.connect(this._onStatus, this);
    context.kernelChanged.connect(() => this.checkSoon(), this);
    events.sessions.connect(this._onSession, this);
    events.settings.connect(() => this.checkSoon(), this);
    events.reconnected.connect(() => this.checkSoon(), this);
    NotebookActions.executed.connect((_, { notebook }) => {
      // While the disk refuses the log, no event comes of what ran.
      if (notebook === panel.content) {
        this.checkSoon();
      }
    }, this);
    NotebookActions.executionScheduled.connect((_, { notebook, cell }) => {
      if (notebook === panel.content) {
        this._ranHere.add(cell.model.id);
      }
    }, this);
    panel.disposed.connect(() => this._dispose(), this);
    void Promise.all([panel.revealed, context.ready]).then(() => this.checkSoon(0));
  }

  readonly lines: Lines;
  document: NotebookDocument | null = null;
  /** Why the server could not say, if it could not. */
  error = "";

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get kernelId(): string | null {
    return this.panel.sessionContext.session?.kernel?.id ?? null;
  }

  /** The session that belongs to this notebook: the one recorded, else the one to be resumed. */
  get session(): string | null {
    return this.document?.recording?.session ?? this.document?.resumable?.session ?? null;
  }

  checkSoon(delay = REST): void {
    if (this._timer === null && !this.panel.isDisposed) {
      this._timer = setTimeout(() => {
        this._timer = null;
        void this._check();
      }, delay);
    }
  }

  /** Bring a session back into this notebook's kernel, and say what came back. */
  async resume(session: string): Promise<void> {
    if (this._isResuming) {
      return;
    }
    this._isResuming = true;
    this._offered = session;
    this.lines.show("resume", { text: "Bringing the variables back …", isBusy: true });
    try {
      const { sessionContext } = this.panel;
      if (this.kernelId === null) {
        await sessionContext.startKernel(); // the notebook's was shut down
      }
      const kernel = this.kernelId;
      if (kernel === null) {
        throw new Error("This notebook has no kernel: choose one, and try again.");
      }
      this._tell(await this._api.resume(session, kernel));
      this._offered = null; // the line is no offer any more: it stays until it is closed
    } catch (error) {
      this.lines.show("resume", { text: textOf(error), isTrouble: true });
    }
    this._isResuming = false;
    this.checkSoon(0);
    void this._commands.execute(Commands.refresh);
  }

  /** Offer to fill recorded outputs in, or do it at once. Returns how many there are. */
  async restoreOutputs(ask: boolean): Promise<number> {
    const restorable = await this._api.restorable(this.panel.context.path);
    const found = restorableCells(this.panel.content, restorable, this._ranHere);
    if (found.length === 0) {
      this.lines.hide("restore");
    } else if (ask) {
      this._offerOutputs(found);
    } else {
      this._fill(found);
    }
    return found.length;
  }

  private async _check(): Promise<void> {
    const { panel } = this;
    if (panel.isDisposed || panel.sessionContext.isDisposed) {
      return;
    }
    try {
      this.document = await this._api.notebook(panel.context.path, this.kernelId);
      this.error = "";
    } catch (error) {
      this.document = null;
      this.error = error instanceof Problem && error.isNoServer ? "" : textOf(error);
    }
    if (panel.isDisposed) {
      return;
    }
    this._changed.emit();
    this._lookAgain();
    if (this.document !== null) {
      this._offerResume(this.document);
      await this._lookForOutputs(this.document);
    }
  }

  /** Nothing tells that trouble is over: it is asked for as long as there is any. */
  private _lookAgain(): void {
    if (this._again !== null) {
      clearTimeout(this._again);
      this._again = null;
    }
    if (this.error || this.document?.recording?.trouble) {
      this._again = setTimeout(() => this.checkSoon(0), IN_TROUBLE);
    }
  }

  private _offerResume(document: NotebookDocument): void {
    const { resumable } = document;
    if (this._isResuming) {
      return;
    }
    if (resumable === null || document.offer_resume === "never") {
      if (this._offered !== null) {
        this._offered = null;
        this.lines.hide("resume");
      }
      return;
    }
    if (this._offered === resumable.session || this.kernelId === null) {
      return;
    }
    this._offered = resumable.session;
    if (document.offer_resume === "always") {
      void this.resume(resumable.session);
      return;
    }
    const { session } = resumable;
    this.lines.show("resume", {
      text:
        `${whatEnded(resumable)}. ${count(resumable.steps, "step")} ` +
        `${resumable.steps === 1 ? "was" : "were"} recorded.`,
      choices: [
        {
          label: `Resume (${count(resumable.variables, "variable")}, ${duration(resumable.seconds)})`,
          isMain: true,
          run: () => void this.resume(session)
        },
        {
          label: "Look at it",
          run: () => void this._commands.execute(Commands.open, { session })
        }
      ]
    });
  }

  private async _lookForOutputs(document: NotebookDocument): Promise<void> {
    const isBusy = (document.recording?.busy ?? null) !== null;
    if (this._isLooked || document.restorable === 0) {
      // What runs on from before the page was opened is looked for once it has ended.
      this._isLooked ||= !isBusy && document.restorable === 0 && document.recording !== null;
      return;
    }
    this._isLooked = !isBusy;
    try {
      await this.restoreOutputs(true);
    } catch (error) {
      console.warn("ipysession: no outputs to restore", error);
    }
  }

  private _offerOutputs(found: readonly Found[]): void {
    const outputs = count(outputsOf(found), "output");
    this.lines.show("restore", {
      text: "Cells of this notebook went on after the page was closed",
      choices: [{ label: `Restore ${outputs}`, isMain: true, run: () => this._fill(found) }]
    });
  }

  private _fill(found: readonly Found[]): void {
    restore(found.filter(({ cell }) => !cell.isDisposed));
    this.lines.show("restore", { text: `Restored ${count(outputsOf(found), "output")}` });
  }

  private _tell(resumed: Resumed): void {
    const lost = Object.keys(resumed.lost).length;
    this.lines.show("resume", {
      text: whatCameBack(resumed),
      isTrouble: lost > 0,
      choices: [{ label: "Details", run: () => void tellResumed(resumed) }]
    });
  }

  private _onStatus(_: ISessionContext, status: string): void {
    if (["restarting", "autorestarting", "dead", "terminating"].includes(status)) {
      this._isRestarting = true;
      this._offered = null;
      AFTER_DEATH.forEach(delay => setTimeout(() => this.checkSoon(0), delay));
    } else if (this._isRestarting && (status === "idle" || status === "starting")) {
      this._isRestarting = status !== "idle";
      this.checkSoon();
    }
  }

  private _onSession(_: Events, change: SessionChange): void {
    const { document } = this;
    if (
      change.change === "created" ||
      change.id === document?.recording?.session ||
      change.id === document?.resumable?.session
    ) {
      this.checkSoon();
    }
  }

  private _dispose(): void {
    if (this._timer !== null) {
      clearTimeout(this._timer);
    }
    if (this._again !== null) {
      clearTimeout(this._again);
    }
    Signal.clearData(this);
  }

  private _isResuming = false;
  private _isRestarting = false;
  /** Outputs were looked for since the page was opened; later ones are this page's own. */
  private _isLooked = false;
  /** The session that was offered since the kernel was last known to be new. */
  private _offered: string | null = null;
  private readonly _ranHere = new Set<string>();
  private _timer: ReturnType<typeof setTimeout> | null = null;
  private _again: ReturnType<typeof setTimeout> | null = null;
  private readonly _changed = new Signal<this, void>(this);
}

function outputsOf(found: readonly Found[]): number {
  return found.reduce((sum, { recorded }) => sum + recorded.outputs.length, 0);
}

function whatCameBack(resumed: Resumed): string {
  const { restored, waiting, replayed, lost, seconds } = resumed;
  const back = restored.length + waiting.length + replayed.length;
  const again = replayed.length ? `, ${replayed.length} by running their cells again` : "";
  const gone = Object.keys(lost).length ? `, ${Object.keys(lost).length} lost` : "";
  return (
    `${count(back, "variable")} ${back === 1 ? "is" : "are"} back${again}${gone}, ` +
    `in ${duration(seconds)}. Recording goes on.`
  );
}

function whatEnded(resumable: Resumable): string {
  const when = ago(new Date(Date.now() - resumable.age * 1000).toISOString());
  return resumable.state === "interrupted"
    ? `This notebook's kernel died ${when}`
    : `This notebook was left ${when}`;
}
