/** What can be done with a session, as commands for menus, buttons and the palette. */

import type { ILabShell, JupyterFrontEnd } from "@jupyterlab/application";
import {
  Clipboard,
  type ICommandPalette,
  Notification,
  showErrorMessage
} from "@jupyterlab/apputils";
import type { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import { PathExt } from "@jupyterlab/coreutils";
import type { INotebookTracker } from "@jupyterlab/notebook";
import { UUID, type ReadonlyPartialJSONObject } from "@lumino/coreutils";
import type { Widget } from "@lumino/widgets";

import { Problem, textOf, type Api } from "./api";
import { askDelete, askExport, askSession, askText } from "./dialogs";
import type { Events, ExportProgress } from "./events";
import { Commands, PANEL } from "./ids";
import type { Listing } from "./listing";
import type { SessionsPanel } from "./panel";
import { ComparisonTab } from "./session/comparison";
import { SessionTab } from "./session/tab";
import type { Session } from "./types";
import type { Watch } from "./watch";
import { bytes } from "./words";

const CATEGORY = "Sessions";

export interface Surroundings {
  app: JupyterFrontEnd;
  api: Api;
  events: Events;
  listing: Listing;
  panel: SessionsPanel;
  /** The watch of a notebook that is open in this page. */
  watch: (path: string) => Watch | undefined;
  notebooks: INotebookTracker | null;
  labShell: ILabShell | null;
  languages: IEditorLanguageRegistry | null;
  palette: ICommandPalette | null;
}

export class Actions {
  constructor(private readonly _in: Surroundings) {
    this._add(Commands.openPanel, "Show the Sessions Panel", () =>
      _in.app.shell.activateById(PANEL)
    );
    this._add(Commands.refresh, "Refresh the Sessions", () => _in.listing.refresh());
    this._add(Commands.restoreOutputs, "Restore This Notebook's Outputs", () => this._restore(), {
      isEnabled: () => this._here !== undefined
    });
    this._addFor(Commands.open, "Open", "Open a Session…", session => this._open(session));
    this._addFor(
      Commands.resumeHere,
      "Resume Here",
      "Resume a Session Here…",
      session => this._here?.resume(session.id),
      { isEnabled: () => this._here !== undefined }
    );
    this._addFor(
      Commands.resumeNew,
      "Resume in a New Notebook",
      "Resume a Session in a New Notebook…",
      session => this._resumeNew(session)
    );
    this._addFor(Commands.export, "Export…", "Export a Session…", session => this._export(session));
    this._addFor(Commands.rename, "Rename…", "Rename a Session…", session => this._rename(session));
    this._addFor(Commands.tag, "Tag…", "Tag a Session…", session => this._tag(session));
    this._addFor(Commands.note, "Add a Note…", "Add a Note to a Session…", session =>
      this._note(session)
    );
    this._addFor(Commands.compare, "Compare With…", "Compare Two Sessions…", session =>
      this._compare(session)
    );
    this._addFor(
      Commands.copyCommand,
      "Copy the Command That Resumes It",
      "Copy the Command That Resumes a Session…",
      session => Clipboard.copyToSystem(`%session resume ${session.id}`)
    );
    this._addFor(Commands.remove, "Delete…", "Delete a Session…", session => this._delete(session));
  }

  /** The notebook in front. */
  private get _here(): Watch | undefined {
    const path = this._in.notebooks?.currentWidget?.context.path;
    return path === undefined ? undefined : this._in.watch(path);
  }

  private _add(
    command: string,
    label: string,
    execute: (args: ReadonlyPartialJSONObject) => unknown,
    more: { isEnabled?: () => boolean } = {},
    inPalette = label
  ): void {
    this._in.app.commands.addCommand(command, {
      label: args => (args.isPalette ? inPalette : label),
      execute: async args => {
        try {
          await execute(args);
        } catch (error) {
          await tellError(error);
        }
      },
      describedBy: { args: { type: "object", properties: { session: { type: "string" } } } },
      ...more
    });
    this._in.palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } });
  }

  /** A command that acts on a session: the one named, else the one that is meant. */
  private _addFor(
    command: string,
    label: string,
    inPalette: string,
    run: (session: Session) => unknown,
    more: { isEnabled?: () => boolean } = {}
  ): void {
    const execute = async (args: ReadonlyPartialJSONObject): Promise<void> => {
      const session = await this._session(args, inPalette);
      if (session !== null) {
        await run(session);
      }
    };
    this._add(command, label, execute, more, inPalette);
  }

  private async _session(args: ReadonlyPartialJSONObject, label: string): Promise<Session | null> {
    const { api, app, listing, panel } = this._in;
    if (typeof args.session === "string") {
      return listing.find(args.session) ?? api.session(args.session);
    }
    const front: Widget | null = app.shell.currentWidget;
    if (front instanceof SessionTab) {
      return api.session(front.session);
    }
    const { sessions } = await api.sessions({ limit: 100 });
    const chosen = sessions.filter(session => session.id === panel.selected);
    const others = sessions.filter(session => session.id !== panel.selected);
    return askSession(label.replace("…", ""), [...chosen, ...others]);
  }

  private _open(session: Session): void {
    const { api, app, events, languages } = this._in;
    this._show(SessionTab.idOf(session.id), () => {
      const tab = new SessionTab(api, app.commands, languages, events, session.id);
      tab.title.label = session.title || session.id;
      return tab;
    });
  }

  /** In JupyterLab a tab; a page of Notebook 7 holds one document, so there at its right side. */
  private _show(id: string, make: () => Widget): void {
    const { app, labShell } = this._in;
    if (!this._tabs.has(id)) {
      const tab = make();
      this._tabs.set(id, tab);
      tab.disposed.connect(() => this._tabs.delete(id));
      if (labShell === null) {
        [...this._tabs.values()].filter(other => other !== tab).forEach(other => other.dispose());
        tab.title.caption = tab.title.label;
      }
      app.shell.add(tab, labShell === null ? "right" : "main");
    }
    app.shell.activateById(id);
  }

  private async _resumeNew(session: Session): Promise<void> {
    const { app, api } = this._in;
    const { contents, sessions, kernelspecs } = app.serviceManager;
    const folder = PathExt.dirname(session.path ?? "");
    const file = await contents.newUntitled({ path: folder, type: "notebook" });
    await kernelspecs.ready;
    const name = kernelspecs.specs?.default ?? "python3";
    const running = await sessions.startNew({
      path: file.path,
      name: file.name,
      type: "notebook",
      kernel: { name }
    });
    const kernel = running.kernel?.id;
    running.dispose(); // the notebook connects to it by itself
    if (kernel === undefined) {
      throw new Error("The new notebook's kernel did not start.");
    }
    const resumed = api.resume(session.id, kernel);
    Notification.promise(
      resumed.then(() => null),
      {
        pending: { message: `Bringing “${session.title}” back …` },
        success: { message: () => `“${session.title}” is back in ${file.name}` },
        error: { message: reason => textOf(reason) }
      }
    );
    await resumed;
    await app.commands.execute("docmanager:open", { path: file.path, factory: "Notebook" });
  }

  private async _export(session: Session): Promise<void> {
    const { api, app, events } = this._in;
    const { formats } = await api.settings();
    const request = await askExport(session, formats, PathExt.dirname(session.path ?? ""));
    if (request === null) {
      return;
    }
    const job = UUID.uuid4();
    const cancel = (): void => void api.cancelExport(job).catch(tellError);
    const id = Notification.emit(`Exporting “${session.title}” …`, "in-progress", {
      autoClose: false,
      actions: [{ label: "Cancel", callback: cancel }]
    });
    const follow = (_: Events, progress: ExportProgress): void => {
      if (progress.job === job) {
        const { done, total, said } = progress;
        Notification.update({
          id,
          message: total
            ? `“${session.title}”: running step ${done + 1} of ${total} again`
            : `“${session.title}”: ${said}`,
          progress: total ? done / total : undefined
        });
      }
    };
    events.exports.connect(follow);
    try {
      const done = await api.export(session.id, { ...request, job });
      const open = (): void => void app.commands.execute("docmanager:open", { path: done.path });
      Notification.emit(done.said, done.verified === false ? "warning" : "success", {
        autoClose: 8000,
        actions: [{ label: "Open", callback: open }]
      });
      open();
    } catch (error) {
      if (error instanceof Problem && error.isCancelled) {
        Notification.info(`“${session.title}”: ${error.message}.`);
      } else {
        throw error;
      }
    } finally {
      events.exports.disconnect(follow);
      Notification.dismiss(id);
    }
  }

  private async _rename(session: Session): Promise<void> {
    const title = await askText("Rename the session", "Title", session.title);
    if (title) {
      await this._in.api.change(session.id, { title });
      await this._changed(session.id);
    }
  }

  private async _tag(session: Session): Promise<void> {
    const text = await askText("Tags of the session", "Tags, with commas", session.tags.join(", "));
    if (text !== null) {
      const tags = text.split(",").map(tag => tag.trim());
      await this._in.api.change(session.id, { tags: [...new Set(tags.filter(Boolean))] });
      await this._changed(session.id);
    }
  }

  private async _note(session: Session): Promise<void> {
    const text = await askText("Add a note", `Note on “${session.title}”`);
    if (text) {
      await this._in.api.note(session.id, text);
      await this._changed(session.id);
    }
  }

  private async _compare(session: Session): Promise<void> {
    const { api, languages } = this._in;
    const { sessions } = await api.sessions({ limit: 100 });
    const others = sessions.filter(other => other.id !== session.id);
    const isKin = (other: Session): boolean => other.notebook === session.notebook;
    const sorted = [...others.filter(isKin), ...others.filter(other => !isKin(other))];
    const other = await askSession(`Compare “${session.title}” with`, sorted);
    if (other !== null) {
      const tab = new ComparisonTab(api, languages, session, other);
      this._show(tab.id, () => tab);
    }
  }

  private async _delete(session: Session): Promise<void> {
    const { api, listing } = this._in;
    const { confirm, bytes: size } = await api.beforeDelete(session.id);
    if (await askDelete(session, bytes(size))) {
      await api.delete(session.id, confirm);
      this._tabs.get(SessionTab.idOf(session.id))?.dispose();
      await listing.refresh();
    }
  }

  private async _restore(): Promise<void> {
    const number = await this._here?.restoreOutputs(false);
    if (number === 0) {
      Notification.info("The cells show all that was recorded for them.");
    }
  }

  private async _changed(id: string): Promise<void> {
    const tab = this._tabs.get(SessionTab.idOf(id));
    const asked = [this._in.listing.refresh()];
    if (tab instanceof SessionTab) {
      asked.push(tab.refresh());
    }
    await Promise.all(asked);
  }

  private readonly _tabs = new Map<string, Widget>();
}

async function tellError(error: unknown): Promise<void> {
  await showErrorMessage("Sessions", textOf(error));
}
