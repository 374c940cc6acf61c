import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { createProgram } from "../../xds-server/cli/program.ts";

/** What the documents name is there: files, headings, scripts and commands; and the files that comments send a reader to. */

const root = new URL("../..", import.meta.url).pathname;
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** Of others, or made by a build. */
const NOT_OURS: ReadonlySet<string> = new Set(["node_modules", "build", "dist"]);

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (entry.name.startsWith(".") || NOT_OURS.has(entry.name)) continue;
    const path = join(folder, entry.name);
    yield path;
    if (entry.isDirectory()) yield* walk(path);
  }
}

const paths = [...walk("")];
/** Every path of the tree and each end of one: documents leave out the folder that they are about. */
const ends = new Set(
  paths.flatMap((path) => {
    const parts = path.split("/");
    return parts.map((_, index) => parts.slice(index).join("/"));
  }),
);
const folders = new Set(paths.filter((path) => !path.includes("/")));

/** What was, and not what is. */
const HISTORY = "CHANGELOG.md";
const documents = paths.filter((path) => path.endsWith(".md") && path !== HISTORY);

/** Named to show what a reader would write, or what a build makes. */
const MADE_UP: ReadonlySet<string> = new Set(["filters/region/index.ts", "X.integration.test.ts", "x.test.ts"]);

const FILE = /(?<![\w./@:$*-])(?:\.{1,2}\/)*(?:[\w.-]+\/)*[\w.-]*\w\.(?:ts|mjs|md|go|py)\b(?![\w/])/g;
const FOLDER = /(?<![\w./@:$<-])[\w-]+(?:\/[\w.-]+)+\/?(?![\w*])/g;

const isThere = (path: string, from: string) =>
  ends.has(normalize(path).replace(/\/$/, "")) || existsSync(join(root, dirname(from), path)) || MADE_UP.has(path);

/** The text of code, spans and blocks. */
const codeOf = (text: string) => [...text.matchAll(/```[\s\S]*?\n```|`[^`\n]+`/g)].map(([code]) => code);

const anchorsOf = (text: string) =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );

function deadLinks(document: string): string[] {
  return [...read(document).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => {
    if (/^[a-z]+:/.test(target)) return [];
    const [path = "", anchor] = target.split("#");
    const file = path === "" ? document : normalize(join(dirname(document), path));
    if (!existsSync(join(root, file))) return [target];
    return anchor === undefined || anchorsOf(read(file)).includes(anchor) ? [] : [target];
  });
}

function missingPaths(document: string): string[] {
  return codeOf(read(document)).flatMap((code) => {
    const named = [...code.matchAll(FILE)].map(([path]) => path);
    const inFolders = [...code.matchAll(FOLDER)].map(([path]) => path);
    return [...new Set([...named, ...inFolders.filter((path) => folders.has(path.split("/")[0] ?? ""))])].filter(
      (path) => !isThere(path, document),
    );
  });
}

const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
const unknownScripts = (document: string) =>
  [...read(document).matchAll(/npm run ([a-z][\w:]*)/g)].flatMap(([, name = ""]) => (name in scripts ? [] : [name]));

const program = createProgram();
const optionsOf = ({ options }: Command) => options.flatMap(({ short, long }) => [short ?? "", long ?? ""]);

/** `tokenmesh NAME ... --option`: the commands and options that there are not. */
function unknownCommands(document: string): string[] {
  const lines = codeOf(read(document)).flatMap((code) => code.replace(/^`+|`+$/g, "").split("\n"));
  return lines.flatMap((line) => {
    const words = /^(?:npx )?tokenmesh (.*)$/.exec(line.split(/ #|;|\||&&/)[0] ?? "")?.[1]?.split(/\s+/) ?? [];
    let command: Command = program;
    const options = ["--help", "--version", ...optionsOf(command)];
    for (const word of words) {
      const next = command.commands.find((each) => each.name() === word);
      if (next !== undefined) {
        command = next;
        options.push(...optionsOf(next));
      } else if (command.commands.length > 0 && /^[a-z]/.test(word)) return [line];
      else if (word.startsWith("-") && !options.includes(word.split("=")[0] ?? "")) return [`${line}: ${word}`];
    }
    return [];
  });
}

describe("documents", () => {
  it.each(documents)("%s names what is there", (document) => {
    expect({
      links: deadLinks(document),
      paths: missingPaths(document),
      scripts: unknownScripts(document),
      commands: unknownCommands(document),
    }).toEqual({ links: [], paths: [], scripts: [], commands: [] });
  });

  it("ARCHITECTURE.md draws the folders that there are", () => {
    const tree = /```\n([\s\S]*?)\n```/.exec(read("ARCHITECTURE.md"))?.[1] ?? "";
    const drawn: string[] = [];
    let top = "";
    for (const line of tree.split("\n")) {
      const [, indent, names = ""] = /^( {2})?((?:[\w.-]+\/?)+\/(?: [\w/-]+\/)*)/.exec(line) ?? [];
      if (names !== "" && indent === undefined) top = names;
      for (const name of names.split(" ")) if (name !== "") drawn.push(indent === undefined ? name : top + name);
    }
    const isFolder = (path: string) => statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory();
    const topOf = (path: string) => path.slice(0, path.indexOf("/") + 1);
    const opened = new Set(drawn.filter((path) => path !== topOf(path)).map(topOf));
    const there = paths.filter((path) => path.split("/").length <= 2 && isFolder(path)).map((path) => `${path}/`);
    const expected = there.filter((path) => path === topOf(path) || opened.has(topOf(path)));
    const missing = expected.filter((path) => !drawn.some((each) => each.startsWith(path)));
    expect({ gone: drawn.filter((path) => !isFolder(path)), missing }).toEqual({ gone: [], missing: [] });
  });
});

describe("comments", () => {
  /** A path with a folder of ours; what others call theirs stands behind their name or address. */
  const isOurs = (path: string) => path.includes("/") && !/^docs?\/|^internal\//.test(path);

  it("send nobody to a file that is not there", () => {
    const sources = paths.filter((path) => /\.(ts|mjs|go|py)$/.test(path));
    const missing = sources.flatMap((source) =>
      read(source)
        .split("\n")
        .filter((line) => /^\s*(\/?\*|\/\/|#)/.test(line))
        .flatMap((line) => [...line.matchAll(FILE)].map(([path]) => path))
        .filter((path) => isOurs(path) && !isThere(path, source))
        .map((path) => `${source}: ${path}`),
    );
    expect(missing).toEqual([]);
  });

  it("a path that is not there is noticed", () => {
    expect(isThere("filters/pipeline/gone.ts", "README.md")).toBe(false);
    expect(isThere("pipeline/body-scan.ts", "ARCHITECTURE.md")).toBe(true);
  });
});
