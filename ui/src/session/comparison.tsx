/** Two sessions beside each other. */

import { historyIcon, ReactWidget } from "@jupyterlab/ui-components";
import type { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import type { Message as WidgetMessage } from "@lumino/messaging";
import * as React from "react";

import type { Api } from "../api";
import { Code, Diff, Languages } from "../code";
import { Message } from "../pieces";
import type { Difference } from "../types";
import { count } from "../words";
import { useAnswer } from "./hooks";

export class ComparisonTab extends ReactWidget {
  constructor(
    private readonly _api: Api,
    private readonly _languages: IEditorLanguageRegistry | null,
    readonly left: { id: string; title: string },
    readonly right: { id: string; title: string }
  ) {
    super();
    this.id = `ipysession-comparison-${left.id}-${right.id}`;
    this.addClass("ips-Session");
    this.title.label = `${left.title} ↔ ${right.title}`;
    this.title.icon = historyIcon;
    this.title.closable = true;
    this.node.tabIndex = -1;
  }

  /** The shell takes what has the focus for its current widget. */
  protected override onActivateRequest(message: WidgetMessage): void {
    super.onActivateRequest(message);
    this.node.focus();
  }

  protected override onCloseRequest(message: WidgetMessage): void {
    super.onCloseRequest(message);
    this.dispose();
  }

  override render(): React.JSX.Element {
    return (
      <Languages.Provider value={this._languages}>
        <Comparison api={this._api} left={this.left} right={this.right} />
      </Languages.Provider>
    );
  }
}

function Comparison(props: {
  api: Api;
  left: { id: string; title: string };
  right: { id: string; title: string };
}): React.JSX.Element {
  const { api, left, right } = props;
  const { value, error } = useAnswer(() => api.diff(left.id, right.id), [left.id, right.id]);
  return (
    <>
      <header className="ips-Session-head">
        <h2>
          {left.title} <span aria-label="compared with">↔</span> {right.title}
        </h2>
      </header>
      {error && <Message title="They cannot be compared" role="alert" children={<p>{error}</p>} />}
      {value && <Differences difference={value} />}
    </>
  );
}

function Differences(props: { difference: Difference }): React.JSX.Element {
  const { cells, variables, environment } = props.difference;
  const changed = cells.filter(cell => cell.kind !== "same");
  return (
    <div className="ips-Tab ips-Scroll" tabIndex={0} role="region" aria-label="Differences">
      <h3>
        {changed.length
          ? `${count(changed.length, "cell")} of ${cells.length} differ`
          : `All ${count(cells.length, "cell")} are the same`}
      </h3>
      {changed.map((cell, index) => (
        <section className="ips-Cell" key={index}>
          <div className="ips-Step-head">
            <span className="ips-Step-facts">
              {cell.kind}
              {cell.left ? ` · step ${cell.left}` : ""}
              {cell.right ? ` ↔ step ${cell.right}` : ""}
            </span>
          </div>
          {cell.diff ? (
            <Diff text={cell.diff} />
          ) : (
            <Code source={cell.left_source ?? cell.right_source ?? ""} />
          )}
        </section>
      ))}
      <Pairs
        title="Variables"
        rows={variables.map(item => [item.name, item.left ?? "", item.right ?? ""])}
      />
      <Pairs title="Environment" rows={environment.map(item => [item.what, item.then, item.now])} />
    </div>
  );
}

function Pairs(props: { title: string; rows: string[][] }): React.JSX.Element | null {
  if (props.rows.length === 0) {
    return null;
  }
  return (
    <>
      <h3>{props.title}</h3>
      <table className="ips-Table">
        <tbody>
          {props.rows.map(([name, ...values], index) => (
            <tr key={index}>
              <th scope="row">{name}</th>
              {values.map((value, column) => (
                <td key={column}>{value}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
