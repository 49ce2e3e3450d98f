/** The versions that each cell went through. */

import * as React from "react";

import type { Api } from "../api";
import { Code, Diff } from "../code";
import { Message } from "../pieces";
import type { CellHistory } from "../types";
import { count, duration, moment, OUTCOMES } from "../words";
import { useAnswer } from "./hooks";

export function CellsView(props: { api: Api; session: string; last: number }): React.JSX.Element {
  const { value, error } = useAnswer(
    () => props.api.history(props.session),
    [props.session, props.last]
  );
  if (error) {
    return <Message title="The versions cannot be told" role="alert" children={<p>{error}</p>} />;
  }
  if (value === null) {
    return <Message title="…" />;
  }
  if (value.cells.length === 0) {
    return <Message title="No cells yet" />;
  }
  return (
    <div className="ips-Tab ips-Scroll" tabIndex={0} role="region" aria-label="Versions of cells">
      {value.cells.map((cell, index) => (
        <Cell key={cell.cell_id ?? index} cell={cell} />
      ))}
    </div>
  );
}

function Cell(props: { cell: CellHistory }): React.JSX.Element {
  const { versions } = props.cell;
  const newest = versions.at(-1);
  const [isOpen, setOpen] = React.useState(false);
  const sources = new Set(versions.map(version => version.source)).size;
  return (
    <section className="ips-Cell">
      <button
        type="button"
        className="ips-Group-title"
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <span className="ips-Group-caret" aria-hidden="true" />
        <code className="ips-Cell-title">{newest?.source.split("\n")[0] || "(empty)"}</code>
        <span className="ips-Group-count">
          {count(sources, "version")}, ran{" "}
          {versions.length === 1 ? "once" : `${versions.length} times`}
        </span>
      </button>
      {isOpen && (
        <ol className="ips-Cell-versions">
          {versions.map(version => (
            <li key={version.step}>
              <div className="ips-Step-head">
                <span className="ips-Step-number">{version.step}</span>
                <span className={`ips-Outcome ips-mod-${version.outcome}`}>
                  {OUTCOMES[version.outcome]}
                </span>
                <span className="ips-Step-facts">
                  {[duration(version.duration), moment(version.started)]
                    .filter(Boolean)
                    .join(" · ")}
                </span>
              </div>
              {version === versions[0] && <Code source={version.source} />}
              {version.diff && <Diff text={version.diff} />}
              {version !== versions[0] && !version.diff && (
                <p className="ips-Waiting">ran again, unchanged</p>
              )}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
