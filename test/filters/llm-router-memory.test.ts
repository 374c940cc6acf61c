import { describe, expect, it } from "vitest";
import { base, chat, type Headers, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** Envoy takes 60 KiB of headers for each of any number of streams; the VM's memory ends at 64 MiB. */
const large = "k".repeat(50_000);
const STREAMS = 1_500;

const config = {
  ...base,
  tenantHeader: "x-tenant",
  targets: { a: { route: "a" }, b: { route: "b" } },
  rules: [
    { name: "tenant", match: { tenants: ["t"] }, targets: [{ target: "a" }] },
    {
      name: "sticky",
      match: { headers: [{ name: "x-split", present: true }] },
      targets: [{ target: "a" }, { target: "b" }],
      stickyBy: "header:x-split",
    },
  ],
};

describe("headers of any size in many streams at once", () => {
  const pagesAfter = (gateway: RouterHost, headers: Headers): number => {
    for (let i = 0; i < STREAMS; i++) gateway.router.stream().requestHeaders(headers);
    expect(gateway.trapped).toBe(false);
    return gateway.vm.memory.pages;
  };

  it.each<[string, Record<string, string>]>([
    ["a credential", { authorization: large }],
    ["a tenant", { "x-tenant": large }],
    ["a content-type", { "content-type": large }],
    ["a path that is no LLM call's", { ":path": `/${large}` }],
    ["a query", { ":path": `/v1/chat/completions?q=${large}` }],
  ])("%s", async (_, extra) => {
    const small = pagesAfter(await RouterHost.start(config), chat());
    expect(pagesAfter(await RouterHost.start(config), chat(extra)) - small).toBeLessThan(64);
  });

  it("that are only asked whether they are there take no place at all", async () => {
    const keys = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [
        `t${i}`,
        { route: `r${i}`, credential: { header: `x-key-${i}`, value: "k" } },
      ]),
    );
    const few = pagesAfter(await RouterHost.start(base), chat());
    expect(pagesAfter(await RouterHost.start({ ...base, targets: keys }), chat()) - few).toBeLessThan(64);
  });

  it("a header sent two hundred times", async () => {
    const gateway = await RouterHost.start(config);
    const repeated = Array.from({ length: 200 }, (): [string, string] => ["x-tenant", "t".repeat(200)]);
    expect(pagesAfter(gateway, [...chat(), ...repeated])).toBeLessThan(400);
  });
});

describe("a value that is cut", () => {
  const target = async (split: string, extra: Headers = []): Promise<string | undefined> => {
    const gateway = await RouterHost.start(config);
    return sent(gateway.send('{"model":"m"}', [...chat({ "x-split": split }), ...extra])).route;
  };

  it("is still a key of its own: the part that is cut decides too", async () => {
    const prefix = "session-".repeat(100);
    const routes = await Promise.all(Array.from({ length: 24 }, (_, i) => target(`${prefix}${i}`)));
    expect(new Set(routes)).toEqual(new Set(["a", "b"]));
    expect(await target(`${prefix}7`)).toBe(routes[7]);
    const more = Array.from({ length: 24 }, (_, i) => target(prefix, [["x-split", `${i}`]]));
    expect(new Set(await Promise.all(more))).toEqual(new Set(["a", "b"]));
    const first = Array.from({ length: 24 }, (_, i) => target(`${prefix}${i}`, [["x-split", "same"]]));
    expect(new Set(await Promise.all(first))).toEqual(new Set(["a", "b"]));
  });

  it("does not match what it begins with", async () => {
    const gateway = await RouterHost.start(config);
    expect(sent(gateway.send('{"model":"gpt-4o"}', chat({ "x-tenant": "t" }))).route).toBe("a");
    expect(sent(gateway.send('{"model":"gpt-4o"}', chat({ "x-tenant": `t${large}` }))).route).toBe("gpt4");
  });
});

describe("a path", () => {
  const path = (length: number): string => "/v1/chat/completions?".padEnd(length, "q");

  it("of 4096 bytes is taken, a longer one refused before the body", async () => {
    const gateway = await RouterHost.start(base);
    expect(sent(gateway.send('{"model":"gpt-4o"}', chat({ ":path": path(4096) }))).route).toBe("gpt4");
    const stream = gateway.router.stream().requestHeaders(chat({ ":path": path(4097) }));
    expect([stream.localReply?.status, refusalOf(stream)]).toEqual([414, "path_too_long"]);
  });

  it("that is no LLM call's may be longer", async () => {
    const gateway = await RouterHost.start(base);
    const stream = gateway.router.stream().requestHeaders(chat({ ":path": `/${large}` }));
    expect(stream.upstream.headers?.get(":path")).toBe(`/${large}`);
  });
});
