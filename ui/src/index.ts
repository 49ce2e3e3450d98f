/** The extension: what it adds to JupyterLab and Notebook 7. */

import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { INotebookTracker } from "@jupyterlab/notebook";

import { Api } from "./api";
import { Commands, PANEL, PLUGIN } from "./ids";
import { Listing } from "./listing";
import { SessionsPanel } from "./panel";

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: "Sessions: recorded as they run, resumed in an instant.",
  autoStart: true,
  optional: [ILayoutRestorer, ICommandPalette, INotebookTracker],
  activate
};

function activate(
  app: JupyterFrontEnd,
  restorer: ILayoutRestorer | null,
  palette: ICommandPalette | null,
  notebooks: INotebookTracker | null
): void {
  const api = new Api(app.serviceManager.serverSettings);
  const listing = new Listing(api);
  const panel = new SessionsPanel(listing, app.commands);
  app.shell.add(panel, "left", { rank: 300, type: "Sessions" });
  restorer?.add(panel, PANEL);

  const follow = (): void => listing.setNotebook(notebooks?.currentWidget?.context.path ?? null);
  notebooks?.currentChanged.connect(follow);
  follow();

  app.commands.addCommand(Commands.openPanel, {
    label: "Show the Sessions panel",
    execute: () => app.shell.activateById(PANEL)
  });
  app.commands.addCommand(Commands.refresh, {
    label: "Refresh the Sessions",
    execute: () => listing.refresh()
  });
  for (const command of [Commands.openPanel, Commands.refresh]) {
    palette?.addItem({ command, category: "Sessions" });
  }
}

export default plugin;
