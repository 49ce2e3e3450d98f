/** The extension: what it adds to JupyterLab and Notebook 7. */

import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from "@jupyterlab/application";
import { ICommandPalette, IToolbarWidgetRegistry } from "@jupyterlab/apputils";
import { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import { INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";
import { ISettingRegistry } from "@jupyterlab/settingregistry";

import { Actions } from "./actions";
import { Api } from "./api";
import { Events } from "./events";
import { PANEL, PLUGIN } from "./ids";
import { Indicator } from "./indicator";
import { Listing } from "./listing";
import { SessionsPanel } from "./panel";
import { followSettings } from "./settings";
import { Watch } from "./watch";

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: "Sessions: recorded as they run, resumed in an instant.",
  autoStart: true,
  optional: [
    ILabShell,
    ILayoutRestorer,
    ICommandPalette,
    INotebookTracker,
    IEditorLanguageRegistry,
    IToolbarWidgetRegistry,
    ISettingRegistry
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  labShell: ILabShell | null,
  restorer: ILayoutRestorer | null,
  palette: ICommandPalette | null,
  notebooks: INotebookTracker | null,
  languages: IEditorLanguageRegistry | null,
  toolbars: IToolbarWidgetRegistry | null,
  registry: ISettingRegistry | null
): void {
  const api = new Api(app.serviceManager.serverSettings);
  const events = new Events(api);
  const listing = new Listing(api);
  const panel = new SessionsPanel(listing, app.commands);
  app.shell.add(panel, "left", { rank: 300, type: "Sessions" });
  restorer?.add(panel, PANEL);
  events.sessions.connect(() => listing.refreshSoon());
  events.reconnected.connect(() => listing.refreshSoon());

  const watches = new WeakMap<NotebookPanel, Watch>();
  const watchOf = (notebook: NotebookPanel): Watch => {
    const known = watches.get(notebook);
    const watch = known ?? new Watch(notebook, api, app.commands, events);
    watches.set(notebook, watch);
    return watch;
  };
  notebooks?.widgetAdded.connect((_, notebook) => watchOf(notebook));
  notebooks?.forEach(watchOf);
  toolbars?.addFactory<NotebookPanel>(
    "Notebook",
    "ipysession",
    notebook => new Indicator(watchOf(notebook), app.commands)
  );

  const follow = (): void => listing.setNotebook(notebooks?.currentWidget?.context.path ?? null);
  notebooks?.currentChanged.connect(follow);
  follow();

  new Actions({
    app,
    api,
    events,
    listing,
    panel,
    notebooks,
    labShell,
    languages,
    palette,
    watch: path => {
      const notebook = notebooks?.find(open => open.context.path === path);
      return notebook && watchOf(notebook);
    }
  });
  if (registry !== null) {
    void followSettings(registry, api, events);
  }
}

export default plugin;
