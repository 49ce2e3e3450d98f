/** Source code and differences, as text that is coloured. */

import type { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import * as React from "react";

/** CodeMirror's languages, for all that is below. */
export const Languages = React.createContext<IEditorLanguageRegistry | null>(null);

/** Longer sources are shown without colours: to parse them would hold up the page. Characters. */
const COLOURED = 20_000;

export const Code = React.memo(function Code(props: { source: string }): React.JSX.Element {
  const { source } = props;
  const languages = React.useContext(Languages);
  const place = React.useRef<HTMLElement>(null);
  React.useEffect(() => {
    const code = place.current;
    if (code === null) {
      return;
    }
    code.textContent = source;
    if (languages === null || source.length > COLOURED) {
      return;
    }
    let isWanted = true;
    const coloured = document.createElement("code");
    languages
      .highlight(
        source,
        languages.findByName("ipython") ?? languages.findByName("python"),
        coloured
      )
      .then(() => {
        if (isWanted) {
          code.replaceChildren(...coloured.childNodes);
        }
      })
      .catch(error => console.warn("ipysession: no colours for a source", error));
    return () => {
      isWanted = false;
    };
  }, [source, languages]);
  return (
    <pre className="ips-Code">
      <code ref={place} />
    </pre>
  );
});

/** A unified diff, line by line. */
export function Diff(props: { text: string }): React.JSX.Element {
  const lines = props.text.replace(/\n$/, "").split("\n");
  return (
    <pre className="ips-Code ips-Diff">
      {lines
        .filter(line => !line.startsWith("---") && !line.startsWith("+++"))
        .map((line, index) => (
          <span key={index} className={`ips-Diff-line ${kindOf(line)}`}>
            {line}
            {"\n"}
          </span>
        ))}
    </pre>
  );
}

function kindOf(line: string): string {
  if (line.startsWith("+")) {
    return "ips-mod-added";
  }
  if (line.startsWith("-")) {
    return "ips-mod-removed";
  }
  return line.startsWith("@@") ? "ips-mod-place" : "";
}
