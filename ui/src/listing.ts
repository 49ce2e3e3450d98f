/** What the panel lists: four groups, each with pages of its own, and the text that is searched. */

import { Signal, type ISignal } from "@lumino/signaling";

import { Problem, textOf, type Api } from "./api";
import type { Session } from "./types";

export type GroupName = "notebook" | "running" | "resumable" | "older";

export interface Group {
  sessions: Session[];
  total: number;
  next: string | null;
}

/** The groups in their order, with what each asks the server for. */
const GROUPS: Record<GroupName, Record<string, string[]>> = {
  notebook: {},
  running: { state: ["running"] },
  resumable: { state: ["interrupted", "paused"] },
  older: { state: ["completed", "failed", "created"] }
};

const PAGE = 50;
/** Changes come in bursts while cells run; milliseconds between two listings. */
const REST = 1000;
const NOTHING: Group = { sessions: [], total: 0, next: null };

export class Listing {
  constructor(private readonly _api: Api) {}

  groups: Partial<Record<GroupName, Group>> = {};
  status: "loading" | "ready" | "error" | "no-server" = "loading";
  error = "";
  text = "";
  /** The server's path of the notebook in front. */
  notebook: string | null = null;

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Are there any sessions at all? */
  get isEmpty(): boolean {
    return Object.values(this.groups).every(group => group.sessions.length === 0);
  }

  get total(): number {
    const names: GroupName[] = ["running", "resumable", "older"];
    return names.reduce((sum, name) => sum + (this.groups[name]?.total ?? 0), 0);
  }

  find(id: string): Session | undefined {
    for (const group of Object.values(this.groups)) {
      const found = group.sessions.find(session => session.id === id);
      if (found) {
        return found;
      }
    }
    return undefined;
  }

  search(text: string): void {
    this.text = text;
    this._changed.emit();
    this.refreshSoon(150);
  }

  setNotebook(path: string | null): void {
    if (path !== this.notebook) {
      this.notebook = path;
      this.refreshSoon(0);
    }
  }

  /** Ask again, once, however often this is called meanwhile. Nothing is asked unseen. */
  refreshSoon(delay = REST): void {
    if (!this.isVisible) {
      this._stale = true;
      return;
    }
    if (this._timer !== null && delay >= REST) {
      return;
    }
    if (this._timer !== null) {
      clearTimeout(this._timer);
    }
    this._timer = setTimeout(() => {
      this._timer = null;
      void this.refresh();
    }, delay);
  }

  /** The panel came into sight, or went out of it. */
  setVisible(visible: boolean): void {
    this.isVisible = visible;
    if (visible && this._stale) {
      this._stale = false;
      void this.refresh();
    }
  }

  async refresh(): Promise<void> {
    const asked = ++this._asked;
    const names = Object.keys(GROUPS) as GroupName[];
    try {
      const pages = await Promise.all(names.map(name => this._page(name)));
      if (asked !== this._asked) {
        return; // a newer question is under way
      }
      this.groups = Object.fromEntries(names.map((name, index) => [name, pages[index]]));
      this.status = "ready";
    } catch (error) {
      if (asked !== this._asked) {
        return;
      }
      this.status = error instanceof Problem && error.isNoServer ? "no-server" : "error";
      this.error = textOf(error);
    }
    this._changed.emit();
  }

  async more(name: GroupName): Promise<void> {
    const group = this.groups[name];
    if (!group?.next) {
      return;
    }
    try {
      const page = await this._page(name, group.next);
      const known = new Set(group.sessions.map(session => session.id));
      const sessions = page.sessions.filter(session => !known.has(session.id));
      this.groups[name] = { ...page, sessions: [...group.sessions, ...sessions] };
    } catch (error) {
      this.status = "error";
      this.error = textOf(error);
    }
    this._changed.emit();
  }

  private async _page(name: GroupName, after: string | null = null): Promise<Group> {
    const query = { ...GROUPS[name], limit: PAGE, text: this.text.trim(), after };
    if (name !== "notebook") {
      // After a refresh as many are shown as before it.
      const shown = after === null ? (this.groups[name]?.sessions.length ?? 0) : 0;
      return this._api.sessions({ ...query, limit: Math.max(PAGE, Math.min(shown, 500)) });
    }
    if (this.notebook === null) {
      return NOTHING;
    }
    const page = await this._api.sessions({ ...query, notebook: this.notebook });
    // The server takes the end of a path for the path: a/x.ipynb is no x.ipynb.
    const sessions = page.sessions.filter(
      session => (session.path ?? this.notebook) === this.notebook
    );
    const others = page.sessions.length - sessions.length;
    return { ...page, sessions, total: page.total - others };
  }

  isVisible = false;
  private _stale = true;
  private _asked = 0;
  private _timer: ReturnType<typeof setTimeout> | null = null;
  private readonly _changed = new Signal<this, void>(this);
}
