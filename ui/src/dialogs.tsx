/** What is asked before something is done. */

import { Dialog, InputDialog, ReactWidget, showDialog } from "@jupyterlab/apputils";
import * as React from "react";

import type { ExportFormat, ExportRequest, Resumed, Session } from "./types";
import { ago, count } from "./words";

export async function askText(title: string, label: string, text = ""): Promise<string | null> {
  const result = await InputDialog.getText({ title, label, text, okLabel: "OK" });
  return result.button.accept ? (result.value ?? "").trim() : null;
}

/** Choose one of these sessions. */
export async function askSession(
  title: string,
  sessions: readonly Session[]
): Promise<Session | null> {
  if (sessions.length === 0) {
    await showDialog({
      title,
      body: "There is no session to choose.",
      buttons: [Dialog.okButton({ label: "Close" })]
    });
    return null;
  }
  const items = sessions.map(
    session =>
      `${session.title} · ${count(session.steps, "step")}, ${ago(session.updated)} · ${session.id}`
  );
  const result = await InputDialog.getItem({ title, items });
  return result.button.accept ? (sessions[items.indexOf(result.value ?? "")] ?? null) : null;
}

export async function askDelete(session: Session, size: string): Promise<boolean> {
  const result = await showDialog({
    title: "Delete this session for good?",
    body:
      `“${session.title}”: ${count(session.steps, "step")}, ${size}, with its outputs and saved ` +
      "variables. This cannot be undone.",
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: "Delete" })],
    defaultButton: 0
  });
  return result.button.accept;
}

/** All that a resume brought back, and what it did not. */
export async function tellResumed(resumed: Resumed): Promise<void> {
  await showDialog({
    title: "What came back",
    body: ReactWidget.create(<ResumedView resumed={resumed} />),
    buttons: [Dialog.okButton({ label: "Close" })]
  });
}

function ResumedView(props: { resumed: Resumed }): React.JSX.Element {
  const { restored, waiting, replayed, lost, notes } = props.resumed;
  const lines: [string, string][] = [
    ["Restored", restored.join(", ")],
    ["Restored when used", waiting.join(", ")],
    ["Replayed", replayed.join(", ")]
  ];
  return (
    <div className="ips-Dialog">
      <table className="ips-Table">
        <tbody>
          {lines
            .filter(([, names]) => names)
            .map(([title, names]) => (
              <tr key={title}>
                <th scope="row">{title}</th>
                <td>{names}</td>
              </tr>
            ))}
          {Object.entries(lost).map(([name, why]) => (
            <tr key={name}>
              <th scope="row">Lost: {name}</th>
              <td>{why}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {notes.map((note, index) => (
        <p key={index} className="ips-Note">
          {note}
        </p>
      ))}
    </div>
  );
}

/** How and where to export; null where the user thought better of it. */
export async function askExport(
  session: Session,
  formats: readonly ExportFormat[],
  folder: string
): Promise<ExportRequest | null> {
  const body = new ExportForm(session, formats, folder);
  const result = await showDialog({
    title: "Export",
    body,
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: "Export" })],
    focusNodeSelector: "select"
  });
  return result.button.accept ? result.value : null;
}

class ExportForm extends ReactWidget {
  constructor(
    session: Session,
    private readonly _formats: readonly ExportFormat[],
    folder: string
  ) {
    super();
    const name = session.title.replace(/[^\p{L}\p{N} ._-]+/gu, "").trim() || session.id;
    this._stem = folder ? `${folder}/${name}` : name;
    const format = _formats[0]?.name ?? "notebook";
    this._request = { format, path: this._path(format) };
  }

  /** What `showDialog` gives back. */
  getValue(): ExportRequest {
    return this._request;
  }

  override render(): React.JSX.Element {
    const request = this._request;
    return (
      <div className="ips-Dialog ips-Form">
        <label>
          Format
          <select
            className="jp-mod-styled"
            value={request.format}
            onChange={event => {
              const format = event.currentTarget.value;
              const isOurs = request.path === this._path(request.format);
              this._set({ format, path: isOurs ? this._path(format) : request.path });
            }}
          >
            {this._formats.map(format => (
              <option key={format.name} value={format.name}>
                {format.what} ({format.suffix})
              </option>
            ))}
          </select>
        </label>
        <label>
          File
          <input
            className="jp-mod-styled"
            value={request.path}
            onChange={event => this._set({ path: event.currentTarget.value })}
          />
        </label>
        <label>
          Only what these variables need
          <input
            className="jp-mod-styled"
            placeholder="all of them"
            disabled={request.all}
            value={(request.targets ?? []).join(", ")}
            onChange={event => {
              const text = event.currentTarget.value;
              this._set({ targets: text ? text.split(",").map(name => name.trim()) : undefined });
            }}
          />
        </label>
        <label className="ips-Form-check">
          <input
            type="checkbox"
            checked={request.all ?? false}
            onChange={event =>
              this._set({
                all: event.currentTarget.checked || undefined,
                targets: event.currentTarget.checked ? undefined : request.targets
              })
            }
          />
          Every step, failures included
        </label>
        <label className="ips-Form-check">
          <input
            type="checkbox"
            checked={request.verify ?? false}
            onChange={event =>
              this._set({
                verify: event.currentTarget.checked || undefined,
                consent: event.currentTarget.checked ? request.consent : undefined
              })
            }
          />
          Run it in a fresh kernel and compare
        </label>
        <label className="ips-Form-check ips-mod-inner">
          <input
            type="checkbox"
            disabled={!request.verify}
            checked={request.consent ?? false}
            onChange={event => this._set({ consent: event.currentTarget.checked || undefined })}
          />
          … also what used the network, started processes or wrote outside its folder
        </label>
        <label className="ips-Form-check">
          <input
            type="checkbox"
            checked={request.force ?? false}
            onChange={event => this._set({ force: event.currentTarget.checked || undefined })}
          />
          Replace a file that exists
        </label>
      </div>
    );
  }

  private _path(name: string): string {
    const format = this._formats.find(known => known.name === name);
    return `${this._stem}${format?.suffix ?? ""}`;
  }

  private _set(change: Partial<ExportRequest>): void {
    this._request = { ...this._request, ...change };
    this.update();
  }

  private readonly _stem: string;
  private _request: ExportRequest;
}
