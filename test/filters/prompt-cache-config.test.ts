import { describe, expect, it } from "vitest";
import { parseConfig } from "../../xds-server/config/index.ts";
import { cacheJson } from "../../xds-server/resources/cache-configuration.ts";
import { stageConfiguration } from "../../xds-server/resources/plugin-configuration.ts";
import { LoadError, ProxyWasmHost } from "../host/index.ts";
import { cacheRows } from "./prompt-cache-config-rows.ts";

/**
 * The same configuration of the prompt cache is judged the same by the filter in Envoy and by the xDS server in front of it, and what the server makes of it is taken.
 * And what the filter makes of it: numbers, defaults, what keeps entries apart.
 */

const host = await ProxyWasmHost.load("build/test-wasm/prompt-cache-view.wasm", { workers: 1 });
const product = await ProxyWasmHost.load("build/filters/prompt-cache.wasm", { workers: 1 });

/** What the filter says of a configuration: lines of what it read, or its faults. */
function read(config: object | string): { lines: string[]; faults: string[] } {
  host.logs.length = 0;
  try {
    host.plugin({ name: "prompt-cache-view", rootId: "prompt-cache-view", config }).remove();
  } catch (error) {
    expect(error).toBeInstanceOf(LoadError);
  }
  const said = (level: string) => host.logs.filter((each) => each.level === level).map(({ message }) => message);
  const lines = said("info");
  // Every VM says the same, one behind the other.
  const again = lines.findIndex((line, index) => index > 0 && line.startsWith("config "));
  const faults = said("error").map((message) => message.replace("prompt-cache-view: ", ""));
  return { lines: lines.slice(0, again < 0 ? undefined : again), faults };
}

/** The verdict of the module that Envoy has. */
function filterTakes(config: object | string): boolean {
  try {
    product.plugin({ name: "prompt-cache", rootId: "prompt-cache", config }).remove();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(LoadError);
    return false;
  }
}

/** What the server writes for the filter; undefined when it refuses the spec. */
function serverWrites(spec: object, answersCluster?: string): string | undefined {
  const document = { apiVersion: "tokenmesh.io/v1alpha1", kind: "PromptCache", metadata: { name: "test" }, spec };
  const result = parseConfig([{ file: "0.yaml", text: JSON.stringify(document) }]);
  const [parsed] = result.ok ? result.model.promptCaches : [];
  return parsed && stageConfiguration(parsed.spec, cacheJson({ document: parsed, answersCluster }));
}

const lines = (word: string, config: object | string) =>
  read(config)
    .lines.filter((line) => line.startsWith(`${word} `))
    .map((line) => line.slice(word.length + 1));
const one = (word: string, config: object | string) => lines(word, config)[0] ?? "";
const rule = (more: object): object => ({ rules: [{ name: "r", ...more }] });
const field = (more: object): object => ({ ...rule({}), ...more });

describe("filter and server", () => {
  it.each(cacheRows)("%s", (_name, spec, valid) => {
    const written = serverWrites(spec);
    expect({ filter: filterTakes(spec), server: written !== undefined }).toEqual({ filter: valid, server: valid });
    if (written !== undefined) expect(filterTakes(written)).toBe(true);
  });

  it("are tried with rows of different names", () => {
    expect(new Set(cacheRows.map(([name]) => name)).size).toBe(cacheRows.length);
  });

  it("have the same defaults: what the server writes out reads as what was left out", () => {
    const least = rule({});
    const written = serverWrites(least) ?? "";
    // The server names the document, and every rule's entries have it in front.
    expect(read(written).lines).toEqual(read({ ...least, scope: "default/test" }).lines);
  });

  it("agree on all that can be said", () => {
    const all = {
      tenantHeader: "x-tenant",
      maxBytes: 2_097_152,
      maxEntryBytes: 8192,
      maxRecordingBytes: 4_194_304,
      secret: "00112233445566778899aabbccddeeff",
      ignore: ["user"],
      rules: [
        {
          name: "a",
          match: { models: ["m"] },
          key: [{ tenant: true }, { claim: "sub", payloadKey: "p" }],
          headers: ["x-a"],
          missingKey: "shared",
          ttlMs: 2000,
          staleWhileRevalidateMs: 3000,
          staleIfErrorMs: 4000,
          cache: { temperature: "any", tools: true, choices: true },
          transcode: true,
          singleFlight: { waitMs: 5 },
          clientControl: false,
          showKey: false,
          hitTokens: 6,
          prices: [{ model: "*", input: 1, output: 2 }],
        },
        { name: "b", singleFlight: false },
      ],
    };
    const filter = {
      ...all,
      scope: "default/test",
      service: { cluster: "c", timeoutMs: 7, ttlMs: 8000 },
      purges: { cluster: "c" },
    };
    const written = serverWrites({ ...all, service: { timeoutMs: 7, ttlMs: 8000 } }, "c") ?? "";
    expect(read(written).lines).toEqual(read(filter).lines);
    // As JSON, too: nothing gets lost on the way that the view does not show.
    expect(JSON.parse(written)).toMatchObject({ ...all, rules: [all.rules[0], { name: "b", singleFlight: false }] });
  });
});

describe("the filter", () => {
  it("has defaults", () => {
    expect(read(rule({})).lines).toEqual([
      "config scope= tenant=none bytes=67108864 entry=262144 recording=16777216" +
        " ignore=user,metadata,safety_identifier,prompt_cache_key,prompt_cache_retention,service_tier responses=0 chat=1",
      "secret 0 0 0",
      "rule r missing=0 ttl=3600000 revalidate=0 error=0 kept=3600000",
      "requests temperature=1 tools=0 choices=0 transcode=0 wait=60000 shares=1 control=1 show=1 hit=0 prices=0 similarity=-1",
      "key 1:4 headers anthropic-version anthropic-beta openai-beta",
      expect.stringMatching(/^identity 007200/),
    ]);
  });

  it("reads what is said", () => {
    const times = { ttlMs: 2_592_000_000, staleWhileRevalidateMs: 7, staleIfErrorMs: 9 };
    expect(one("rule", rule({ ...times, missingKey: "shared" }))).toBe(
      "r missing=1 ttl=2592000000 revalidate=7 error=9 kept=2592000009",
    );
    const kinds = {
      cache: { temperature: "zero", tools: true, choices: true },
      transcode: true,
      semantic: { threshold: 0.93 },
    };
    const ways = { singleFlight: { waitMs: 5 }, clientControl: false, showKey: false, hitTokens: 25 };
    const prices = [{ model: "*", input: 1, output: 1 }];
    expect(one("requests", rule({ ...kinds, ...ways, prices }))).toBe(
      "temperature=0 tools=1 choices=1 transcode=1 wait=5 shares=1 control=0 show=0 hit=25 prices=1 similarity=930",
    );
    expect(one("requests", rule({ cache: { temperature: "any" }, singleFlight: false }))).toMatch(
      /^temperature=2 .* wait=0 shares=0 /,
    );
    expect(one("key", rule({ key: [], headers: ["x-a"] }))).toBe("headers x-a");
    expect(one("config", field({ ignore: [], tenantHeader: "x-t", maxBytes: 1_048_576 }))).toBe(
      "scope= tenant=x-t bytes=1048576 entry=16384 recording=16777216 ignore= responses=1 chat=1",
    );
    expect(one("config", field({ maxBytes: 4_294_967_296, maxRecordingBytes: 33_554_432 }))).toMatch(
      / bytes=4294967296 entry=262144 recording=33554432 /,
    );
  });

  it("takes a secret as the sixteen bytes that it is", () => {
    // As the key of the reference vectors of SipHash: 00 01 .. 0f.
    expect(one("secret", field({ secret: "000102030405060708090A0B0C0d0e0f" }))).toBe(
      "1 706050403020100 f0e0d0c0b0a0908",
    );
  });

  it("may take an answer to a question like it, if there is a service", () => {
    const similarity = (semantic: unknown) => {
      const served = { ...rule({ semantic }), service: { cluster: "c" } };
      return /similarity=(-?\d+)/.exec(one("requests", served))?.[1];
    };
    expect([true, {}, { threshold: 0.5 }, { threshold: 0.953 }, { threshold: 1 }, false].map(similarity)).toEqual([
      "0",
      "0",
      "500",
      "953",
      "1000",
      "-1",
    ]);
    for (const semantic of [true, { threshold: 0.953 }]) {
      const written = serverWrites({ ...rule({ semantic }), service: true }, "c") ?? "";
      expect(JSON.parse(written)).toMatchObject({ rules: [{ semantic }] });
    }
  });

  it("may have streams read along, if there is a service and hits count nothing", () => {
    const live = rule({ singleFlight: { waitMs: 5, live: true } });
    expect(JSON.parse(serverWrites({ ...live, service: true }, "c") ?? "")).toMatchObject(live);
    // Without an address of its own the server has no Envoy ask it.
    expect(JSON.parse(serverWrites({ ...live, service: true }) ?? "").rules[0].singleFlight).toEqual({ waitMs: 5 });
    expect(filterTakes({ ...live, service: { cluster: "c" } })).toBe(true);
    const counts = rule({ singleFlight: { live: true }, hitTokens: 1 });
    expect([
      filterTakes({ ...counts, service: { cluster: "c" } }),
      serverWrites({ ...counts, service: true }, "c"),
    ]).toEqual([false, undefined]);
  });

  it("may have streams given as they came, if there is a service and hits count nothing", () => {
    const both = (paced: unknown, more: object = {}) => {
      const spec = rule({ paced, ...more });
      const written = serverWrites({ ...spec, service: true }, "c");
      const taken = filterTakes({ ...spec, service: { cluster: "c" } });
      return [taken, written === undefined ? undefined : JSON.parse(written).rules[0].paced];
    };
    expect([both(true), both({}), both(false)]).toEqual([
      [true, { speed: 1, maxGapMs: 5_000 }],
      [true, { speed: 1, maxGapMs: 5_000 }],
      [true, undefined],
    ]);
    for (const paced of [
      { speed: 0.1, maxGapMs: 0 },
      { speed: 100, maxGapMs: 60_000 },
      { speed: 1.25, maxGapMs: 1 },
    ])
      expect(both(paced)).toEqual([true, paced]);
    const wrong = [1, "slow", { speed: 0.09 }, { speed: 100.1 }, { speed: 1.001 }, { maxGapMs: -1 }, { gap: 1 }];
    for (const paced of [...wrong, { maxGapMs: 60_001 }, { speed: "1" }])
      expect(both(paced)).toEqual([false, undefined]);
    expect(both(true, { hitTokens: 1 })).toEqual([false, undefined]);
    // Without an address of its own the server has no Envoy ask it.
    expect(JSON.parse(serverWrites({ ...rule({ paced: true }), service: true }) ?? "").rules[0].paced).toBeUndefined();
  });

  it("may ask a service", () => {
    expect(one("service", field({ service: { cluster: "c" } }))).toBe("c timeout=50 ttl=86400000");
    const written = { cluster: "c", timeoutMs: 10_000, ttlMs: 2_592_000_000 };
    expect(one("service", field({ service: written }))).toBe("c timeout=10000 ttl=2592000000");
    const faults = (service: unknown) => read(field({ service })).faults;
    expect(faults({})).toEqual(["promptCache.service.cluster: missing"]);
    expect(faults(true)).toEqual(["promptCache.service: must be an object"]);
    expect(faults({ cluster: "c", timeoutMs: 0 })[0]).toMatch(/timeoutMs: must be a whole number from 1 to 10000$/);
    expect(faults({ cluster: "c", ttlMs: 999 })[0]).toMatch(/ttlMs: must be a whole number from 1000 to 2592000000$/);
    expect(faults({ cluster: "c", host: "h" })).toEqual([expect.stringMatching(/^promptCache.service.host: unknown/)]);
  });

  it("asks for purges, by itself where it asks for answers", () => {
    expect(one("purges", field({}))).toBe("");
    expect(one("purges", field({ purges: { cluster: "c" } }))).toBe("c");
    expect(one("purges", field({ service: { cluster: "s" } }))).toBe("s");
    expect(one("purges", field({ service: { cluster: "s" }, purges: { cluster: "c" } }))).toBe("c");
    const faults = (purges: unknown) => read(field({ purges })).faults;
    expect(faults({})).toEqual(["promptCache.purges.cluster: missing"]);
    expect(faults("c")).toEqual(["promptCache.purges: must be an object"]);
    expect(faults({ cluster: "c", ms: 1 })).toEqual([expect.stringMatching(/^promptCache.purges.ms: unknown field/)]);
    // The server writes both, and without a service the purges alone.
    expect(one("purges", serverWrites(rule({}), "c") ?? "")).toBe("c");
    expect(one("service", serverWrites(rule({}), "c") ?? "")).toBe("");
  });

  it("says every fault at once, with its place", () => {
    const rules = [
      { name: "a", ttlMs: 1, cache: { tools: 1 } },
      { name: "a", key: [{}], prices: [] },
    ];
    const config = {
      rules,
      maxBytes: 1,
      maxEntryBytes: 4_194_304,
      secret: "x",
      ignore: ["user", "stream"],
      service: 1,
    };
    expect(read(config).faults).toEqual([
      "promptCache.ignore[1]: is what is asked, which has to be part of the key",
      "promptCache.maxBytes: must be a whole number from 1048576 to 4294967296",
      "promptCache.rules[0].ttlMs: must be a whole number from 1000 to 2592000000",
      "promptCache.rules[0].cache.tools: must be true or false",
      "promptCache.rules[1].name: stands twice in the list; names must differ",
      expect.stringMatching(/^promptCache\.rules\[1\]\.key\[0\]: must have one of header, apiKey,/),
      "promptCache.rules[1].prices: must be a list of 1 to 256 entries",
      "promptCache.secret: must be 32 hexadecimal digits",
      "promptCache.service: must be an object",
    ]);
  });
});

describe("entries of a rule are no other's", () => {
  const identity = (config: object) => one("identity", config);
  const base = { key: [{ header: "x-a" }], headers: ["x-b"] };
  const same = identity(rule(base));

  it("when what tells requests apart has changed", () => {
    const others = [
      field({ ...rule(base), scope: "s" }),
      field({ ...rule(base), ignore: [] }),
      field({ ...rule(base), ignore: ["user"] }),
      { rules: [{ ...base, name: "r2" }] },
      rule({ ...base, key: [] }),
      rule({ ...base, key: [{ header: "x-c" }] }),
      rule({ ...base, key: [{ claim: "x-a" }] }),
      rule({ ...base, key: [{ header: "x-a" }, { model: true }] }),
      rule({ ...base, key: [{ tenant: true }] }),
      rule({ ...base, headers: [] }),
      rule({ ...base, headers: ["x-b", "x-c"] }),
      rule({ ...base, headers: ["x-c", "x-b"] }),
    ].map((each) => identity({ tenantHeader: "x-t", ...each }));
    expect(new Set([same, ...others]).size).toBe(others.length + 1);
  });

  it("and go on when times and conditions have", () => {
    const more = { ttlMs: 5000, staleIfErrorMs: 1, cache: { tools: true }, match: { stream: true }, showKey: false };
    expect(identity(rule({ ...base, ...more }))).toBe(same);
  });
});
