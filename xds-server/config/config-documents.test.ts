import { describe, expect, it } from "vitest";
import { DocumentMemo } from "./config-documents.ts";
import { formatError, parseConfig } from "./index.ts";

/** Files are read once, and documents of later layers take the place of others. */

const service = (name: string, host = `${name}.test`) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec: {hosts: [${host}], ports: [{number: 80, name: http}], resolution: STATIC}
`;
const file = (name: string, text: string) => ({ file: name, text });

describe("a memo", () => {
  it("gives the same objects for a text that did not change", () => {
    const memo = new DocumentMemo();
    const parse = (text: string) => parseConfig([file("a", service("a")), file("b", text)], { memo });
    const models = [service("b"), service("b", "other.test"), service("b", "other.test")].map((text) => {
      const result = parse(text);
      memo.sweep();
      if (!result.ok) throw new Error(result.errors.map(formatError).join());
      return result.model.serviceEntries;
    });
    expect(models[1]?.[0]).toBe(models[0]?.[0]);
    expect(models[1]?.[1]).not.toBe(models[0]?.[1]);
    expect(models[2]).toEqual(models[1]);
    expect(models[2]?.[1]).toBe(models[1]?.[1]);
  });

  it("over another looks into that one and leaves it as it is", () => {
    const below = new DocumentMemo();
    const [first] = below.documentsOf(file("a", service("a")));
    const trial = new DocumentMemo(below);
    expect(trial.documentsOf(file("a", service("a")))[0]).toBe(first);
    trial.documentsOf(file("a", service("x")));
    expect(below.documentsOf(file("a", service("a")))[0]).toBe(first);
  });
});

describe("layers", () => {
  it("a later one wins, whatever is wrong with what it replaces; only files are worth a warning", () => {
    const broken = service("a").replace("STATIC", "NONSENSE");
    const result = parseConfig([file("files", broken)], {
      over: [[file("stored", service("a"))], [file("put", service("a", "put.test"))]],
    });
    expect(result.ok && result.model.serviceEntries.map(({ hosts }) => hosts)).toEqual([["put.test"]]);
    expect(result.warnings.map(formatError)).toEqual([
      expect.stringMatching(
        /^files:2:1: TM_CONFIG_OVERRIDDEN ServiceEntry\/default\/a has no effect here: put has it too/,
      ),
    ]);
    expect(result.ok && [...result.documents.values()]).toMatchObject([
      { id: "ServiceEntry/default/a", file: "put", line: 2, text: expect.stringContaining("put.test") },
    ]);
  });

  it("two of one name in a layer are an error as ever", () => {
    const result = parseConfig([], { over: [[file("one", service("a")), file("two", service("a"))]] });
    expect(result.ok ? [] : result.errors.map(({ code }) => code)).toContain("TM_CONFIG_DUPLICATE");
  });

  it("a document that is damaged damages its kind, and one that is replaced does not", () => {
    const route = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: r}
spec: {hosts: ["*"], http: [{route: [{destination: {host: nobody.test}}]}]}`;
    const broken = service("a").replace("STATIC", "NONSENSE");
    const codes = (over: string | undefined) => {
      const layers = over === undefined ? [] : [[file("put", over)]];
      const result = parseConfig([file("a", broken), file("r", route)], { over: layers });
      return result.ok ? [] : result.errors.map(({ code }) => code);
    };
    expect(codes(undefined)).toEqual(["TM_CONFIG_INVALID_VALUE"]);
    expect(codes(service("a"))).toEqual(["TM_CONFIG_UNKNOWN_REFERENCE"]);
  });
});

describe("the budget of nodes of a file", () => {
  const many = `{${Array.from({ length: 1_000 }, (_, index) => `k${index}: v`).join(", ")}}`;
  // Each alias is read as if it stood there in full.
  const bomb = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bomb}
spec:
  hosts: [bomb.test]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.1, labels: &l ${many}}
${Array.from({ length: 300 }, () => "  - {address: 10.0.0.1, labels: *l}").join("\n")}
`;

  it("is one for all its documents; what comes behind its end is never read in part", () => {
    const memo = new DocumentMemo();
    const all = file("a", `${bomb}---${service("a")}---${service("b")}`);
    const documents = memo.documentsOf(all);
    expect(documents.map(({ errors }) => errors.map(({ code }) => code))).toEqual([
      ["TM_CONFIG_TOO_COMPLEX"],
      ["TM_CONFIG_TOO_COMPLEX"],
      ["TM_CONFIG_TOO_COMPLEX"],
    ]);
    // Told once.
    const result = parseConfig([all], { memo });
    expect(result.ok ? [] : result.errors.map(({ code }) => code)).toEqual(["TM_CONFIG_TOO_COMPLEX"]);
    // Replacing the document that was too much does not make the others right.
    const over = [[file("put", service("bomb"))]];
    expect(parseConfig([all], { memo, over }).ok).toBe(false);
    // Reading 200,000 nodes takes a second, and many on a machine that has other work.
  }, 60_000);
});

describe("services of discovery", () => {
  const source = "apiVersion: tokenmesh.io/v1alpha1\nkind: DiscoverySource\nmetadata: {name: s}\nspec: {registry: {}}";
  const found = (from: string, more = "", namespace = "default") =>
    service("a")
      .replace("{name: a}", `{name: a, namespace: ${namespace}, annotations: {tokenmesh.io/endpoints-from: ${from}}}`)
      .replace("resolution: STATIC", `resolution: ${more.includes("DNS") ? "DNS" : `STATIC${more}`}`);
  it.each([
    ["s", "", "default", []],
    ["s/other", "", "default", []],
    ["t", "", "default", [/:4:\d+: TM_CONFIG_UNKNOWN_REFERENCE .*no DiscoverySource default\/t is defined/]],
    ["s", "", "other", [/no DiscoverySource other\/s is defined/]],
    ["s/", "", "default", [/TM_CONFIG_INVALID_VALUE .* is not SOURCE or SOURCE\/SERVICE/]],
    ['""', "", "default", [/TM_CONFIG_INVALID_VALUE/]],
    ["s", ", endpoints: [{address: 10.0.0.1}]", "default", [/:5:\d+: TM_CONFIG_CONFLICT spec\.endpoints/]],
    ["s", "DNS", "default", [/TM_CONFIG_CONFLICT spec\.resolution: DNS resolves names/]],
  ])("%s %s in %s", (from, more, namespace, expected) => {
    const result = parseConfig([file("s", source), file("a", found(from, more, namespace))]);
    const errors = result.ok ? [] : result.errors.map(formatError);
    expect(errors).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
  });
});
