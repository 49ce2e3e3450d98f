/** What a session ran in, and the files that it touched. */

import * as React from "react";

import { Message } from "../pieces";
import type { Environment, SessionDetails, SessionDocument } from "../types";
import { bytes, count, moment } from "../words";

export function EnvironmentView(props: { session: SessionDocument }): React.JSX.Element {
  const { runs } = props.session.details;
  const newest = runs.at(-1);
  if (newest === undefined) {
    return <Message title="It has not run yet" />;
  }
  const packages = Object.entries(newest.environment.packages).sort(([a], [b]) =>
    a.localeCompare(b)
  );
  return (
    <div className="ips-Tab ips-Scroll" tabIndex={0} role="region" aria-label="Environment">
      <h3>
        Run {newest.number}
        {newest.started ? `, ${moment(newest.started)}` : ""}
      </h3>
      <table className="ips-Table">
        <tbody>
          {facts(newest.environment).map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {runs.length > 1 && <p>{count(runs.length, "run")} in all: a run ends with its kernel.</p>}
      {packages.length > 0 && (
        <>
          <h3>{count(packages.length, "package")}</h3>
          <table className="ips-Table">
            <tbody>
              {packages.map(([name, version]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{version}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </div>
  );
}

function facts(environment: Environment): [string, string][] {
  const git = environment.git;
  const commit = git?.commit
    ? `${git.commit.slice(0, 12)}${git.branch ? ` on ${git.branch}` : ""}${git.dirty ? ", changed" : ""}`
    : "";
  const all: [string, string | null | undefined][] = [
    ["Python", environment.python],
    ["IPython", environment.ipython],
    ["ipykernel", environment.ipykernel],
    ["Platform", environment.platform],
    ["Host", environment.host],
    ["User", environment.user],
    ["Folder", environment.cwd],
    ["Git commit", commit]
  ];
  return all.filter((fact): fact is [string, string] => Boolean(fact[1]));
}

export function FilesView(props: { details: SessionDetails }): React.JSX.Element {
  const { files } = props.details;
  if (files.length === 0) {
    return <Message title="It read and wrote no files that were seen" />;
  }
  return (
    <div className="ips-Tab ips-Scroll" tabIndex={0} role="region" aria-label="Files">
      <table className="ips-Table">
        <thead>
          <tr>
            <th scope="col">File</th>
            <th scope="col">Was</th>
            <th scope="col">Size</th>
            <th scope="col">Steps</th>
          </tr>
        </thead>
        <tbody>
          {files.map(file => (
            <tr key={file.path}>
              <th scope="row">{file.path}</th>
              <td>{file.action}</td>
              <td className="ips-mod-number">{bytes(file.size)}</td>
              <td>{file.steps.join(", ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
