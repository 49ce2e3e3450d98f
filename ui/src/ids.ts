/** The names of the plugin, its commands and its places. */

export const PLUGIN = "ipysession:panel";
export const PANEL = "ipysession-panel";

export const Commands = {
  openPanel: "ipysession:open-panel",
  refresh: "ipysession:refresh",
  open: "ipysession:open",
  resumeHere: "ipysession:resume-here",
  resumeNew: "ipysession:resume-in-new-notebook",
  export: "ipysession:export",
  rename: "ipysession:rename",
  tag: "ipysession:tag",
  note: "ipysession:note",
  compare: "ipysession:compare",
  remove: "ipysession:delete",
  copyCommand: "ipysession:copy-command",
  restoreOutputs: "ipysession:restore-outputs"
} as const;

/** What can be done with a session, in the order in which it is offered. */
export const ACTIONS = [
  Commands.open,
  Commands.resumeHere,
  Commands.resumeNew,
  Commands.export,
  null,
  Commands.rename,
  Commands.tag,
  Commands.note,
  Commands.compare,
  Commands.copyCommand,
  null,
  Commands.remove
] as const;
