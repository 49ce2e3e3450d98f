/** A session's steps, page by page, and the outputs of those that were seen. */

import { Signal, type ISignal } from "@lumino/signaling";

import { textOf, type Api } from "../api";
import type { Step } from "../types";

/** The first page is small, to be there at once. */
const FIRST = 50;
const PAGE = 500;

export class Steps {
  constructor(
    private readonly _api: Api,
    readonly session: string
  ) {}

  steps: readonly Step[] = [];
  total = 0;
  error = "";
  isLoaded = false;

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Ask for what is new; steps that were still running are asked for again. */
  async refresh(): Promise<void> {
    if (this._isLoading) {
      this._isStale = true;
      return;
    }
    this._isLoading = true;
    try {
      do {
        this._isStale = false;
        await this._load();
      } while (this._isStale);
      this.error = "";
    } catch (error) {
      this.error = textOf(error);
    }
    this._isLoading = false;
    this.isLoaded = true;
    this._changed.emit();
  }

  /** The step with its outputs, asked for once. */
  whole(number: number): Promise<Step> {
    const known = this._whole.get(number);
    if (known) {
      return known;
    }
    const asked = this._api.step(this.session, number);
    this._whole.set(number, asked);
    asked
      .then(step => {
        if (step.outcome === "running") {
          this._whole.delete(number);
        }
      })
      .catch(() => this._whole.delete(number));
    return asked;
  }

  private async _load(): Promise<void> {
    const running = this.steps.findIndex(step => step.outcome === "running");
    const known = running < 0 ? this.steps : this.steps.slice(0, running);
    let after = known.at(-1)?.number ?? 0;
    let steps = [...known];
    let limit = known.length ? PAGE : FIRST;
    for (;;) {
      const page = await this._api.steps(this.session, after, limit);
      steps = [...steps, ...page.steps];
      this.steps = steps;
      this.total = page.total;
      this.isLoaded = true;
      this._changed.emit();
      if (page.next === null) {
        return;
      }
      after = page.next;
      limit = PAGE;
    }
  }

  private _isLoading = false;
  private _isStale = false;
  private readonly _whole = new Map<number, Promise<Step>>();
  private readonly _changed = new Signal<this, void>(this);
}
