/** What the REST API answers, as its OpenAPI document has it; only what the panel reads. */

import type { IOutput } from "@jupyterlab/nbformat";

export type SessionState =
  "created" | "running" | "paused" | "interrupted" | "completed" | "failed";
export type Outcome = "running" | "ok" | "error" | "interrupted" | "died";
export type OfferResume = "ask" | "always" | "never";

export interface Kernel {
  id: string;
  alive: boolean;
  notebook: string | null;
  path: string | null;
}

export interface Session {
  id: string;
  title: string;
  state: SessionState;
  notebook: string | null;
  kernel_id: string | null;
  tags: string[];
  created: string;
  updated: string;
  steps: number;
  failures: number;
  cell_seconds: number;
  cwd: string;
  host: string;
  user: string;
  reason: string;
  kernel: Kernel | null;
  current_notebook: string | null;
  path: string | null;
  bytes: number;
  resumable: boolean;
}

export interface SessionPage {
  sessions: Session[];
  next: string | null;
  total: number;
}

export interface Note {
  text: string;
  step: number | null;
  time: string;
}

export interface Environment {
  python: string;
  implementation?: string;
  platform: string;
  host: string;
  user: string;
  cwd: string;
  ipython: string;
  ipykernel: string | null;
  packages: Record<string, string>;
  git: { commit?: string; branch?: string | null; dirty?: boolean | null } | null;
}

export interface Run {
  number: number;
  started?: string;
  environment: Environment;
}

export interface FileUse {
  path: string;
  size: number | null;
  action: "read" | "written" | "deleted";
}

export interface SessionFile extends FileUse {
  steps: number[];
}

/** What a session's page shows besides its steps. */
export interface SessionDetails {
  head: number | null;
  runs: Run[];
  notes: Note[];
  files: SessionFile[];
  damage: string[];
  contradictions: string[];
}

export interface SessionDocument extends Session {
  details: SessionDetails;
}

export interface Step {
  number: number;
  parent?: number | null;
  source: string;
  cell_id?: string | null;
  execution_count?: number | null;
  replay_of?: number | null;
  started: string;
  duration: number | null;
  outcome: Outcome;
  error: { ename: string; evalue: string } | null;
  on_branch: boolean;
  provenance: {
    bound: string[];
    reads: string[];
    files: FileUse[];
    processes: { command: string }[];
    connections: { kind: string; address: string }[];
  };
  output_count: number;
  outputs?: IOutput[] | null;
}

export interface StepPage {
  steps: Step[];
  next: number | null;
  total: number;
}

export interface Variable {
  name: string;
  type: string;
  step: number;
  bytes: number | null;
  shape: number[] | null;
  shared_with: string[];
  preview: string | null;
  saved: boolean;
  reason: string;
}

export interface Variables {
  step: number | null;
  variables: Variable[];
}

export interface GraphStep {
  step: number;
  outcome: Outcome;
  title: string;
  binds: string[];
  stale: boolean;
  marked: boolean;
}

export interface GraphEdge {
  source: number;
  target: number;
  names: string[];
  kind: string;
}

export interface Graph {
  steps: GraphStep[];
  edges: GraphEdge[];
}

export interface CellVersion {
  step: number;
  source: string;
  outcome: Outcome;
  started: string;
  duration: number | null;
  diff: string;
}

export interface CellHistory {
  cell_id: string | null;
  versions: CellVersion[];
}

export interface Difference {
  session: string;
  other: string;
  cells: {
    kind: "same" | "changed" | "added" | "removed";
    left: number | null;
    right: number | null;
    left_source: string | null;
    right_source: string | null;
    diff: string;
  }[];
  variables: { name: string; left: string | null; right: string | null }[];
  environment: { what: string; then: string; now: string }[];
}

export interface Resumed {
  session: string;
  said: string;
  restored: string[];
  waiting: string[];
  replayed: string[];
  lost: Record<string, string>;
  notes: string[];
  seconds: number;
}

export interface Exported {
  path: string;
  said: string;
  verified: boolean | null;
}

export interface Confirmation {
  confirm: string;
  bytes: number;
}

export interface Recording {
  session: string;
  title: string;
  state: SessionState;
  steps: number;
  busy: number | null;
  trouble: string | null;
}

export interface Resumable {
  session: string;
  title: string;
  state: SessionState;
  steps: number;
  variables: number;
  bytes: number;
  seconds: number;
  age: number;
}

/** What there is for one notebook. */
export interface NotebookDocument {
  path: string;
  kernel_id: string | null;
  recording: Recording | null;
  resumable: Resumable | null;
  restorable: number;
  offer_resume: OfferResume;
}

export interface RestorableCell {
  cell_id: string;
  index: number;
  step: number;
  source: string;
  execution_count: number | null;
  outputs: IOutput[];
}

export interface Restorable {
  session: string | null;
  cells: RestorableCell[];
}

export interface ExportFormat {
  name: string;
  suffix: string;
  what: string;
}

export interface Settings {
  offer_resume: OfferResume;
  auto_load: boolean;
  formats: ExportFormat[];
}

export interface ExportRequest {
  format: string;
  all?: boolean;
  targets?: string[];
  verify?: boolean;
  consent?: boolean;
  path?: string;
  force?: boolean;
  job?: string;
}
