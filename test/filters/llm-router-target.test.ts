import { describe, expect, it } from "vitest";
import { ProxyWasmHost } from "../host/index.ts";
import "../host/matchers.ts";
import { chat, RouterHost, routerWasm, sent } from "./router-driver.ts";

/** What a target writes: another path prefix, another credential, and never a secret where somebody else reads it. */

describe("pathPrefix", () => {
  const cases: [from: string | undefined, to: string, path: string, expected: string][] = [
    [undefined, "/openai", "/v1/messages", "/openai/v1/messages"],
    ["/", "/openai", "/v1/messages", "/openai/v1/messages"],
    ["/", "/", "/v1/messages", "/v1/messages"],
    ["/v1", "/", "/v1/messages", "/messages"],
    ["/v1", "/openai/v1", "/v1/messages?a=/v1/b", "/openai/v1/messages?a=/v1/b"],
    ["/v1/", "/openai/v1///", "/v1/messages", "/openai/v1/messages"],
    ["/v1", "/x", "/v1beta/messages", "/v1beta/messages"],
    ["/v1", "/x", "/V1/messages", "/V1/messages"],
    ["/v1", "/x", "/a/v1/messages", "/a/v1/messages"],
    ["/v1", "/x", "//v1/messages", "//v1/messages"],
    ["/v1/messages", "/x", "/v1/messages", "/x"],
    ["/v1/messages", "/x", "/v1/messages?a=1", "/x?a=1"],
    ["/v1/messages", "/", "/v1/messages", "/"],
    ["/v1/messages", "/", "/v1/messages?a=1", "/?a=1"],
    ["/v1/messages/more", "/x", "/v1/messages", "/v1/messages"],
  ];
  it.each(cases)("%s -> %s: %s becomes %s", async (from, to, path, expected) => {
    const pathPrefix = { ...(from && { from }), to };
    const gateway = await RouterHost.start({
      targets: { t: { route: "t", pathPrefix } },
      rules: [{ name: "r", targets: [{ target: "t" }] }],
    });
    const request = gateway.send('{"model":"m"}', chat({ ":path": path }));
    expect(sent(request).path).toBe(path);
    expect(sent(gateway.attempt(request)).path).toBe(expected);
  });
});

const ours = "sk-ours-0123456789";
const theirs = "sk-theirs-9876543210";

describe("credential", () => {
  const credentialOf = async (credential: object, environmentVariables: Record<string, string> = {}) => {
    const gateway = await RouterHost.start(
      { targets: { t: { route: "t", credential } }, rules: [{ name: "r", targets: [{ target: "t" }] }] },
      { environmentVariables },
    );
    const headers = gateway.attempt(gateway.send('{"model":"m"}')).upstream.headers?.toObject() ?? {};
    return Object.fromEntries(Object.entries(headers).filter(([, value]) => value.includes(ours)));
  };

  it.each([
    [{ value: ours }, { authorization: `Bearer ${ours}` }],
    [{ value: ours, prefix: "" }, { authorization: ours }],
    [{ value: ours, prefix: "Basic " }, { authorization: `Basic ${ours}` }],
    [{ value: ours, header: "x-api-key" }, { "x-api-key": ours }],
    [{ value: ours, header: "x-api-key", prefix: "Key " }, { "x-api-key": `Key ${ours}` }],
    [{ env: "API_KEY" }, { authorization: `Bearer ${ours}` }],
  ])("%j writes %j", async (credential, expected) => {
    const environment = { OTHER: "x", API_KEYS: "y", API_KEY: ours, EMPTY: "" };
    expect(await credentialOf(credential, environment)).toEqual(expected);
  });

  it.each([
    ["is not set", {}],
    ["is empty", { API_KEY: "" }],
    ["has a line break", { API_KEY: `${ours}\n` }],
    ["has a space", { API_KEY: `${ours} x` }],
    ["is only the beginning of another", { API_KEY2: ours }],
  ])("from a variable that %s is refused, and not shown", async (_name, environmentVariables) => {
    const host = await ProxyWasmHost.load(routerWasm, { environmentVariables });
    const config = {
      models: [{ model: "m", route: "r" }],
      targets: { t: { route: "t", credential: { env: "API_KEY" } } },
    };
    expect(() => host.plugin({ rootId: "llm-router", config })).toThrow();
    const logged = JSON.stringify(host.logs);
    expect(logged).toContain("targets.t.credential.env: ");
    expect(logged).not.toContain(ours);
  });

  it("of the client goes nowhere near a target with ours, and ours comes back to nobody", async () => {
    const gateway = await RouterHost.start(
      {
        accessLog: true,
        responseHeaders: true,
        targets: {
          a: { route: "a", host: "a.example", credential: { value: ours } },
          b: { route: "b", credential: { header: "api-key", value: `${ours}-b` } },
          c: { route: "c" },
        },
        rules: [
          {
            name: "r",
            match: { models: ["m*"] },
            targets: [{ target: "a" }],
            fallback: { targets: ["b", "c"], firstByteTimeout: "1s" },
          },
        ],
      },
      { logLevel: "trace" },
    );
    const keys: [string, string][] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"].map((name) => [
      name,
      theirs,
    ]);
    const headers = [...chat({ ":path": `/v1/chat/completions?key=${theirs}` }), ...keys];
    const replies: string[] = [];
    for (const body of ['{"model":"m"}', '{"model":"x"}', "{", '{"model":"m","model":"m"}']) {
      const request = gateway.send(body, headers);
      if (request.localReply) {
        replies.push(JSON.stringify([request.localReply.headers.pairs(), request.downstream.text]));
        continue;
      }
      for (const target of ["a", "b", "a", undefined, "b", "c"]) {
        const attempt = gateway.attempt(request, target === undefined ? {} : { target });
        const seen = JSON.stringify(attempt.upstream.headers?.pairs() ?? []);
        expect(seen).not.toContain(theirs);
        expect(seen.includes(ours)).toBe(target === "a" || target === "b");
        expect(seen.includes(`${ours}-b`)).toBe(target === "b");
        if (attempt.localReply) replies.push(attempt.downstream.text);
        else if (target === "c") gateway.answer(request, attempt, '{"usage":{"prompt_tokens":1}}');
        attempt.end();
      }
      replies.push(
        JSON.stringify(request.downstream.headers?.pairs()),
        Buffer.from(request.filterState("llm") ?? []).toString(),
      );
      expect(request.downstream.headers?.get("x-llm-target")).toBe("c");
    }
    gateway.host.advance(1000);
    expect(replies.length).toBe(6);
    const everything = [gateway.logged, ...replies, ...gateway.host.metrics.names()].join("\n");
    expect(everything).not.toContain(ours);
    expect(everything).not.toContain(theirs);
  });
});
