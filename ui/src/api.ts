/** The server's REST API. What goes wrong is thrown as a `Problem`, with a text for people. */

import { URLExt } from "@jupyterlab/coreutils";
import { ServerConnection } from "@jupyterlab/services";

import type {
  CellHistory,
  Confirmation,
  Difference,
  Exported,
  ExportRequest,
  Graph,
  Note,
  NotebookDocument,
  OfferResume,
  Restorable,
  Resumed,
  Session,
  SessionDocument,
  SessionPage,
  Settings,
  Step,
  StepPage,
  Variables
} from "./types";

type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

/** An answer that is no success. */
export class Problem extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly type: string,
    readonly document: unknown = null
  ) {
    super(message);
  }

  /** Somebody thought better of an export. */
  get isCancelled(): boolean {
    return this.type === "urn:ipysession:problem:export-cancelled";
  }

  /** There is no ipysession at the other end, as in JupyterLite. */
  get isNoServer(): boolean {
    return this.type === "no-server";
  }
}

export class Api {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  sessions(query: Query): Promise<SessionPage> {
    return this._get("sessions", query);
  }

  session(id: string): Promise<SessionDocument> {
    return this._get(`sessions/${id}`);
  }

  steps(id: string, after: number, limit: number): Promise<StepPage> {
    return this._get(`sessions/${id}/steps`, { after, limit });
  }

  step(id: string, number: number): Promise<Step> {
    return this._get(`sessions/${id}/steps/${number}`);
  }

  variables(id: string, step: number | null): Promise<Variables> {
    return this._get(`sessions/${id}/variables`, { step });
  }

  graph(id: string, names: readonly string[] = []): Promise<Graph> {
    return this._get(`sessions/${id}/graph`, { name: names });
  }

  history(id: string): Promise<{ cells: CellHistory[] }> {
    return this._get(`sessions/${id}/history`);
  }

  diff(id: string, other: string): Promise<Difference> {
    return this._get(`sessions/${id}/diff`, { with: other });
  }

  change(id: string, change: { title?: string; tags?: string[] }): Promise<Session> {
    return this._send("PATCH", `sessions/${id}`, change);
  }

  note(id: string, text: string): Promise<Note> {
    return this._send("POST", `sessions/${id}/notes`, { text });
  }

  resume(id: string, kernelId: string): Promise<Resumed> {
    return this._send("POST", `sessions/${id}/resume`, { kernel_id: kernelId });
  }

  export(id: string, request: ExportRequest): Promise<Exported> {
    return this._send("POST", `sessions/${id}/export`, request);
  }

  /** False where it had ended already. */
  async cancelExport(job: string): Promise<boolean> {
    const { cancelled } = await this._send<{ cancelled: boolean }>("DELETE", `exports/${job}`);
    return cancelled;
  }

  /** The first step of a deletion: what it would delete, and the word that confirms it. */
  async beforeDelete(id: string): Promise<Confirmation> {
    try {
      await this._send("DELETE", `sessions/${id}`);
    } catch (error) {
      if (error instanceof Problem && isConfirmation(error.document)) {
        return error.document;
      }
      throw error;
    }
    throw new Problem("the server deleted without asking", 500, "about:blank");
  }

  async delete(id: string, confirm: string): Promise<void> {
    await this._request(`sessions/${id}`, { confirm }, { method: "DELETE" });
  }

  notebook(path: string, kernelId: string | null): Promise<NotebookDocument> {
    return this._get("notebook", { path, kernel_id: kernelId });
  }

  restorable(path: string): Promise<Restorable> {
    return this._get("restore", { path });
  }

  settings(): Promise<Settings> {
    return this._get("settings");
  }

  changeSettings(change: { offer_resume?: OfferResume; auto_load?: boolean }): Promise<Settings> {
    return this._send("PATCH", "settings", change);
  }

  /** The stream of server-sent events. */
  events(signal: AbortSignal): Promise<Response> {
    return this._request("events", {}, { signal, headers: { Accept: "text/event-stream" } });
  }

  private async _get<T>(path: string, query: Query = {}): Promise<T> {
    // The browser asks with the ETag that it knows, and takes its own copy after a 304.
    const response = await this._request(path, query, { cache: "no-cache" });
    return (await response.json()) as T;
  }

  private async _send<T>(method: string, path: string, body?: unknown): Promise<T> {
    const init: RequestInit = { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
    }
    const response = await this._request(path, {}, init);
    return (await response.json()) as T;
  }

  private async _request(path: string, query: Query, init: RequestInit): Promise<Response> {
    const url = URLExt.join(this._settings.baseUrl, "ipysession/api", path) + queryText(query);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this._settings);
    } catch (error) {
      if (init.signal?.aborted) {
        throw error;
      }
      throw new Problem("The Jupyter server does not answer.", 0, "no-answer");
    }
    if (response.ok) {
      const kind = response.headers.get("Content-Type") ?? "";
      if (!/json|event-stream/.test(kind)) {
        // JupyterLite's static server answers anything with a page.
        throw new Problem("This site has no ipysession server.", response.status, "no-server");
      }
      return response;
    }
    throw await problemOf(response);
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const kind = response.headers.get("Content-Type") ?? "";
  if (kind.includes("problem+json")) {
    const said = (await response.json()) as { detail: string; type: string };
    return new Problem(said.detail, response.status, said.type, said);
  }
  if ([404, 405, 501].includes(response.status)) {
    return new Problem("This server has no ipysession.", response.status, "no-server");
  }
  return new Problem(`${response.status} ${response.statusText}`, response.status, "about:blank");
}

function isConfirmation(document: unknown): document is Confirmation {
  return typeof (document as Partial<Confirmation> | null)?.confirm === "string";
}

function queryText(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") {
      continue;
    }
    const values = Array.isArray(value) ? value : [value];
    for (const item of values) {
      parameters.append(name, String(item));
    }
  }
  const text = parameters.toString();
  return text ? `?${text}` : "";
}

/** What to tell a person of anything that was thrown. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
