/** Recorded outputs back into the cells that made them, by cell id and source. */

import { CodeCell } from "@jupyterlab/cells";
import type { IOutput } from "@jupyterlab/nbformat";
import type { Notebook } from "@jupyterlab/notebook";

import type { Restorable, RestorableCell } from "./types";

/** A cell of the notebook with what was recorded for it. */
export interface Found {
  cell: CodeCell;
  recorded: RestorableCell;
}

/** Cells that still have the source that ran, and do not show what came of it. */
export function restorableCells(
  notebook: Notebook,
  restorable: Restorable,
  ranHere: ReadonlySet<string>
): Found[] {
  const cells = notebook.widgets.filter((cell): cell is CodeCell => cell instanceof CodeCell);
  const byId = new Map(cells.map(cell => [cell.model.id, cell]));
  const found: Found[] = [];
  for (const recorded of restorable.cells) {
    const at = notebook.widgets[recorded.index];
    // A file of before nbformat 4.5 has no ids: its cells are known by their place.
    const cell = byId.get(recorded.cell_id) ?? (at instanceof CodeCell ? at : undefined);
    if (
      cell !== undefined &&
      !ranHere.has(cell.model.id) &&
      recorded.outputs.length > 0 &&
      cell.model.sharedModel.getSource().trimEnd() === recorded.source.trimEnd() &&
      seen(cell.model.outputs.toJSON()) !== seen(recorded.outputs)
    ) {
      found.push({ cell, recorded });
    }
  }
  return found;
}

/**
 * Fill them in. What is recorded is not trusted: JupyterLab takes scripts out of it, as it does
 * with the outputs of a notebook from elsewhere, until the cell runs again.
 */
export function restore(found: readonly Found[]): void {
  for (const { cell, recorded } of found) {
    cell.model.trusted = false;
    cell.model.outputs.fromJSON(recorded.outputs);
    cell.model.executionCount = recorded.execution_count;
  }
}

/** What a reader sees of outputs, to compare them: chunks of a stream count as one. */
function seen(outputs: readonly IOutput[]): string {
  const parts: string[] = [];
  let stream = "";
  for (const output of outputs) {
    if (output.output_type === "stream") {
      const head = `\n[${String(output.name)}] `;
      parts.push((stream === head ? "" : head) + joined(output.text));
      stream = head;
    } else if (output.output_type === "error") {
      stream = "";
      parts.push(`\n[error] ${String(output.ename)} ${String(output.evalue)}`);
    } else {
      stream = "";
      const data = (output.data ?? {}) as Record<string, unknown>;
      for (const kind of Object.keys(data).sort()) {
        const value = data[kind];
        const text = typeof value === "string" || Array.isArray(value) ? joined(value) : value;
        parts.push(`\n[${kind}] ${typeof text === "string" ? text : JSON.stringify(text)}`);
      }
    }
  }
  return parts.join("").trimEnd();
}

function joined(text: unknown): string {
  return Array.isArray(text) ? text.join("") : String(text ?? "");
}
