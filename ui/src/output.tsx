/**
 * Recorded outputs. Text is text; a picture is an image of bytes; HTML is shown in a frame that
 * may do nothing: no scripts, no origin, no network.
 */

import type { IOutput, MultilineString } from "@jupyterlab/nbformat";
import * as React from "react";

/** Characters that are shown of one text; the rest is there after a click. */
const SHOWN = 10_000;

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

export function Outputs(props: { outputs: readonly IOutput[] }): React.JSX.Element {
  return (
    <div className="ips-Outputs">
      {props.outputs.map((output, index) => (
        <Output key={index} output={output} />
      ))}
    </div>
  );
}

function Output(props: { output: IOutput }): React.JSX.Element {
  const { output } = props;
  if (output.output_type === "stream") {
    const kind = output.name === "stderr" ? "ips-mod-stderr" : "";
    return <Text text={joined(output.text)} kind={kind} />;
  }
  if (output.output_type === "error") {
    const traceback = (output.traceback as string[] | undefined) ?? [];
    const text = traceback.length ? traceback.join("\n") : `${output.ename}: ${output.evalue}`;
    return <Text text={text} kind="ips-mod-error" />;
  }
  return <Bundle data={(output.data ?? {}) as Record<string, unknown>} />;
}

function Bundle(props: { data: Record<string, unknown> }): React.JSX.Element {
  const { data } = props;
  const plain = joined(data["text/plain"]);
  for (const kind of IMAGES) {
    if (kind in data) {
      const bytes = joined(data[kind]).replace(/\s/g, "");
      return <img className="ips-Image" src={`data:${kind};base64,${bytes}`} alt={plain} />;
    }
  }
  if ("image/svg+xml" in data) {
    // As an image it may neither run scripts nor load anything.
    const source = encodeURIComponent(joined(data["image/svg+xml"]));
    return <img className="ips-Image" src={`data:image/svg+xml,${source}`} alt={plain} />;
  }
  if ("text/html" in data) {
    return <Frame html={joined(data["text/html"])} />;
  }
  if ("application/json" in data) {
    return <Text text={JSON.stringify(data["application/json"], null, 2)} />;
  }
  const kind = ["text/markdown", "text/latex", "text/plain"].find(name => name in data);
  return <Text text={kind ? joined(data[kind]) : `(${Object.keys(data).join(", ")})`} />;
}

function Text(props: { text: string; kind?: string }): React.JSX.Element {
  const text = React.useMemo(() => withoutColours(props.text), [props.text]);
  const [isWhole, setWhole] = React.useState(false);
  const isLong = text.length > SHOWN;
  return (
    <>
      <pre className={`ips-Text ${props.kind ?? ""}`} tabIndex={0} aria-label="Output">
        {isLong && !isWhole ? text.slice(0, SHOWN) : text}
      </pre>
      {isLong && !isWhole && (
        <button
          type="button"
          className="jp-mod-styled jp-mod-minimal"
          onClick={() => setWhole(true)}
        >
          Show all {text.length.toLocaleString("en")} characters
        </button>
      )}
    </>
  );
}

/** Nothing may be loaded, and nothing runs: the sandbox forbids it, and so does this policy. */
const POLICY =
  "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; media-src data:";

function Frame(props: { html: string }): React.JSX.Element {
  const { html } = props;
  const theme = useTheme();
  // The frame cannot see the page's style, so it is given two of its colours.
  const page = React.useMemo(() => framed(html, getComputedStyle(document.body)), [html, theme]);
  const rows = (html.match(/<tr[\s>]|<li[\s>]|<p[\s>]|<br|<h\d/gi) ?? []).length;
  return (
    <iframe
      key={theme}
      className="ips-Frame"
      sandbox=""
      title="Recorded HTML output"
      srcDoc={page}
      style={{ height: Math.min(420, Math.max(64, 24 + rows * 25)) }}
    />
  );
}

/** The name of JupyterLab's theme, now and after each change. */
function useTheme(): string {
  const read = (): string => document.body.dataset.jpThemeName ?? "";
  const [theme, setTheme] = React.useState(read);
  React.useEffect(() => {
    const observer = new MutationObserver(() => setTheme(read()));
    observer.observe(document.body, { attributeFilter: ["data-jp-theme-name"] });
    return () => observer.disconnect();
  }, []);
  return theme;
}

function framed(html: string, style: CSSStyleDeclaration): string {
  const look =
    `body{margin:4px;color:${style.getPropertyValue("--jp-content-font-color1")};` +
    `background:${style.getPropertyValue("--jp-layout-color1")};` +
    "font:13px/1.4 system-ui,sans-serif}" +
    "table{border-collapse:collapse;border:none;font-size:12px}" +
    "td,th{padding:3px 8px;text-align:right;border:none}tr{border-bottom:1px solid #8884}";
  return (
    `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" ` +
    `content="${POLICY}"><style>${look}</style><body>${html}`
  );
}

function joined(text: unknown): string {
  const given = text as MultilineString | undefined;
  return Array.isArray(given) ? given.join("") : String(given ?? "");
}

function withoutColours(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
}
