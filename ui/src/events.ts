/** Live changes: the server's event stream, read with the same credentials as any request. */

import type { IDisposable } from "@lumino/disposable";
import { Signal, type ISignal } from "@lumino/signaling";

import { Problem, type Api } from "./api";

export interface SessionChange {
  change: "created" | "updated" | "deleted";
  id: string;
}

export interface ExportProgress {
  job: string;
  done: number;
  total: number;
  said: string;
}

/** Milliseconds until the next attempt after the stream ended; what changed meanwhile is asked for. */
const RETRY = 10_000;

export class Events implements IDisposable {
  constructor(private readonly _api: Api) {
    void this._listen();
  }

  get sessions(): ISignal<this, SessionChange> {
    return this._sessions;
  }

  get exports(): ISignal<this, ExportProgress> {
    return this._exports;
  }

  /** The settings were changed, here or in the shell. */
  get settings(): ISignal<this, void> {
    return this._settings;
  }

  /** The stream is back after a break, or there is none: ask anew for what is shown. */
  get reconnected(): ISignal<this, void> {
    return this._reconnected;
  }

  get isDisposed(): boolean {
    return this._abort.signal.aborted;
  }

  dispose(): void {
    this._abort.abort();
    Signal.clearData(this);
  }

  private async _listen(): Promise<void> {
    let first = true;
    while (!this.isDisposed) {
      try {
        const response = await this._api.events(this._abort.signal);
        if (!first) {
          this._reconnected.emit();
        }
        first = false;
        await this._read(response);
      } catch (error) {
        if (error instanceof Problem && error.isNoServer) {
          return;
        }
        // Cut off: the server restarts, or the network is away. The panel says so when it asks.
        first = false;
      }
      await new Promise(resolve => setTimeout(resolve, RETRY));
    }
  }

  private async _read(response: Response): Promise<void> {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (reader === undefined) {
      return;
    }
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      const parts = (text + value.replace(/\r/g, "")).split("\n\n");
      text = parts.pop() ?? "";
      parts.forEach(part => this._tell(part));
    }
  }

  private _tell(event: string): void {
    let name = "message";
    let data = "";
    for (const line of event.split("\n")) {
      if (line.startsWith("event:")) {
        name = line.slice(6).trim();
      } else if (line.startsWith("data:")) {
        data += line.slice(5).trim();
      }
    }
    if (name === "session") {
      this._sessions.emit(JSON.parse(data) as SessionChange);
    } else if (name === "export") {
      this._exports.emit(JSON.parse(data) as ExportProgress);
    } else if (name === "settings") {
      this._settings.emit();
    }
  }

  private readonly _abort = new AbortController();
  private readonly _sessions = new Signal<this, SessionChange>(this);
  private readonly _exports = new Signal<this, ExportProgress>(this);
  private readonly _settings = new Signal<this, void>(this);
  private readonly _reconnected = new Signal<this, void>(this);
}
