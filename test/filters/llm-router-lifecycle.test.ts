import { describe, expect, it } from "vitest";
import "../host/matchers.ts";
import { base, chat, RouterHost, sent } from "./router-driver.ts";

/** A missing allow_on_headers_stop_iteration, and configurations that change under running requests. */

describe("withheld bodies (allow_on_headers_stop_iteration missing)", () => {
  it("fails the hanging request within a second, counts it, and fails later ones at once", async () => {
    const gateway = await RouterHost.start(base, { flag: false });
    const first = gateway.router.stream();
    first.requestHeaders(chat()).requestBody('{"model":"gpt-4o"}', { endOfStream: true });
    expect(first).toPause();
    gateway.host.advance(1000);
    expect(first).toHaveSentLocalResponse(500, /body_unreadable/);
    const second = gateway.router.stream();
    second.requestHeaders(chat());
    expect(second).toHaveSentLocalResponse(500, /body_unreadable/);
    expect(Number(gateway.host.metrics.get("tokenmesh_llm_router_body_unreadable"))).toBe(2);
    const explanations = gateway.host.logs.filter((entry) =>
      JSON.stringify(entry).includes("allow_on_headers_stop_iteration"),
    );
    expect(explanations.length).toBe(1);
  });

  it("releases by policy instead, body untouched", async () => {
    const gateway = await RouterHost.start(
      { ...base, onBodyUnreadable: { route: "spare", upstreamModel: "x" } },
      { flag: false },
    );
    const stream = gateway.router.stream();
    stream.requestHeaders(chat()).requestBody('{"model":"gpt-4o"}', { endOfStream: true });
    gateway.host.advance(1000);
    expect(sent(stream)).toMatchObject({ route: "spare", body: '{"model":"gpt-4o"}' });
  });

  it("never mistakes a slow client for a missing flag", async () => {
    const gateway = await RouterHost.start(base);
    const stream = gateway.router.stream();
    stream.requestHeaders(chat());
    gateway.host.advance(60_000);
    expect(stream).toPause();
    stream.requestBody('{"model":"gpt-4o"}', { endOfStream: true });
    expect(sent(stream).route).toBe("gpt4");
  });

  it("waits for proof while a client of a mis-configured plugin sends nothing, and survives its leaving", async () => {
    const gateway = await RouterHost.start(base, { flag: false });
    const silent = gateway.router.stream();
    silent.requestHeaders(chat());
    const gone = gateway.router.stream();
    gone.requestHeaders(chat());
    gateway.host.advance(5000);
    expect(silent).toPause();
    gone.end();
    silent.requestBody("{", {});
    gateway.host.advance(1000);
    expect(silent).toHaveSentLocalResponse(500, /body_unreadable/);
  });
});

describe("configuration updates", () => {
  it("keeps the old configuration when an update is wrong, and takes a right one for new requests only", async () => {
    const gateway = await RouterHost.start(base);
    expect(gateway.router.update({ models: [] }).accepted).toBe(false);
    expect(sent(gateway.send('{"model":"gpt-4o"}')).route).toBe("gpt4");
    const draining = gateway.router.stream();
    draining.requestHeaders(chat());
    expect(gateway.router.update({ models: [{ model: "gpt-4o", route: "new" }] }).accepted).toBe(true);
    expect(sent(gateway.send('{"model":"gpt-4o"}')).route).toBe("new");
    draining.requestBody('{"model":"gpt-4o"}', { endOfStream: true });
    expect(sent(draining).route).toBe("gpt4");
  });

  it.each([
    ["with patterns, their garbage taken away on ticks", 0],
    ["with streams of their own", 40],
  ])("leave no memory behind: %s", async (_name, streams) => {
    const config = (round: number) => ({
      models: [{ model: "*", route: `r${round}` }],
      targets: { t: { route: "t" } },
      rules: Array.from({ length: 20 }, (_, i) => ({
        name: `r${i}`,
        match: { lastUserMessage: `(?i)foo${i}|bar.{30}x` },
        targets: [{ target: "t" }],
      })),
      metrics: { enabled: false },
    });
    const gateway = await RouterHost.start(config(0));
    const update = (round: number) => {
      expect(gateway.router.update(config(round))).toEqual({ accepted: true });
      const open = Array.from({ length: streams }, () => gateway.send('{"model":"m"}'));
      for (const stream of open) stream.end();
      gateway.host.advance(1000);
    };
    for (let round = 1; round < 20; round++) update(round);
    const pages = gateway.vm.memory.pages;
    for (let round = 20; round < 140; round++) update(round);
    expect(gateway.vm.memory.pages).toBe(pages);
  });
});
