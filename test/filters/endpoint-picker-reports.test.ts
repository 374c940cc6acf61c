import { describe, expect, it } from "vitest";
import { encodeLoads } from "./loads-message.ts";
import { addresses, listOf, PickerHost, poolOf, say } from "./picker-driver.ts";
import { refusalOf } from "./router-driver.ts";

/** What engines say of themselves: in the feed of the server, and in their answers. */

describe("a feed", () => {
  const config = (more: object = {}) => ({
    feed: { cluster: "loads", intervalMs: 100, maxAgeMs: 1_000 },
    pools: [poolOf(2, more)],
  });
  const [one, two] = addresses(2) as [string, string];

  async function fed(more: object, loads: Parameters<typeof encodeLoads>[0], workers = 1) {
    const host = await PickerHost.start(config(more), { workers });
    let asked = 0;
    host.host.callouts.onGrpcCall("loads", (call) => {
      asked++;
      expect(call.method).toBe("tokenmesh.loads.v1.EndpointLoads/Fetch");
      expect(Buffer.from(call.sent[0] ?? []).toString()).toBe("\n\x06models");
      return { messages: [encodeLoads(loads)] };
    });
    for (let worker = 0; worker < workers; worker++) host.answer(host.ask(say("first"), [], worker));
    host.pass(1_000);
    return { host, asked: () => asked };
  }

  it("is asked by one worker, and all go by its answer", async () => {
    const { host, asked } = await fed(
      { policy: "least-request" },
      [{ address: one, running: 50 }, { address: two }],
      3,
    );
    expect(asked()).toBeGreaterThan(5);
    expect(asked()).toBeLessThan(15);
    for (const worker of [0, 1, 2]) {
      const stream = host.ask(say("a"), [], worker);
      expect(listOf(stream)[0]).toBe(two);
      host.answer(stream);
    }
  });

  it("is not asked when there is no traffic", async () => {
    const { host, asked } = await fed({}, []);
    host.pass(15_000);
    const before = asked();
    host.pass(10_000);
    expect(asked()).toBe(before);
  });

  it("sheds what may be shed while engines are saturated", async () => {
    const shed = { header: "x-priority", values: ["batch"] };
    const { host } = await fed({ shed }, [
      { address: one, waiting: 10 },
      { address: two, kvPermille: 900 },
    ]);
    expect(refusalOf(host.ask(say("a"), [["x-priority", "batch"]]))).toBe("pool_saturated");
    expect(refusalOf(host.ask(say("a"), [["x-priority", "chat"]]))).toBeUndefined();
    expect(refusalOf(host.ask(say("a")))).toBeUndefined();
    expect(host.counters("picks")["pool=models;outcome=shed"]).toBe(1);
  });

  it("sheds nothing while they are not", async () => {
    const shed = { header: "x-priority", values: ["batch"] };
    const { host } = await fed({ shed }, [
      { address: one, waiting: 1 },
      { address: two, kvPermille: 300 },
    ]);
    expect(refusalOf(host.ask(say("a"), [["x-priority", "batch"]]))).toBeUndefined();
  });

  it("says where an adapter is", async () => {
    const loads = [
      { address: one, maxAdapters: 1, active: ["other"] },
      { address: two, maxAdapters: 1, active: ["m"] },
    ];
    const { host } = await fed({ policy: "round-robin", loraAffinity: true }, loads);
    for (let index = 0; index < 5; index++) {
      const stream = host.ask(say("a"));
      expect(listOf(stream)[0]).toBe(two);
      host.answer(stream);
    }
  });

  it.each([
    ["fails", () => ({ status: 14, message: "down" })],
    ["answers nonsense", () => ({ messages: [new Uint8Array([0x0a, 0xff, 0xff])] })],
  ])("that %s changes nothing", async (_name, outcome) => {
    const host = await PickerHost.start(config({ policy: "round-robin" }));
    host.host.callouts.onGrpcCall("loads", outcome);
    host.answer(host.ask(say("a")));
    host.pass(1_000);
    const picks = [0, 1].map(() => listOf(host.ask(say("a")))[0]);
    expect(new Set(picks)).toEqual(new Set([one, two]));
    expect(host.counters("state")["pool=models;event=feed_failed"]).toBeGreaterThan(3);
    expect(host.trapped).toBe(false);
  });
});

describe("engines that say in their answers how busy they are", () => {
  const [one, two] = addresses(2) as [string, string];
  const loaded = (waiting: number) => `TEXT named_metrics.num_requests_waiting=${waiting}`;

  it("are asked, and believed, and clients do not see it", async () => {
    const host = await PickerHost.start({ pools: [poolOf(2, { policy: "least-request", orca: true })] });
    const first = host.ask(say("a"));
    expect(first.upstream.headers?.get("endpoint-load-metrics-format")).toBe("TEXT");
    host.answer(first, { from: one, headers: { "endpoint-load-metrics": loaded(40) } });
    expect(first.downstream.headers?.get("endpoint-load-metrics")).toBeUndefined();
    for (let index = 0; index < 6; index++) {
      const stream = host.ask(say("a"));
      expect(listOf(stream)[0]).toBe(two);
      host.answer(stream);
    }
  });

  it("may say it in trailers, when the answer is over", async () => {
    const host = await PickerHost.start({ pools: [poolOf(2, { policy: "least-request", orca: true })] });
    const first = host.begin(host.ask(say("a")), { from: one });
    first.responseBody('{"choices":[]}').responseTrailers({ "endpoint-load-metrics": loaded(40), "x-other": "1" });
    expect(first.downstream.trailers?.pairs()).toEqual([["x-other", "1"]]);
    for (let index = 0; index < 6; index++) {
      const stream = host.ask(say("a"));
      expect(listOf(stream)[0]).toBe(two);
      host.answer(stream);
    }
  });

  it("are not asked otherwise, and what they say then is the client's", async () => {
    const host = await PickerHost.start({ pools: [poolOf(2, { policy: "round-robin" })] });
    const stream = host.ask(say("a"));
    expect(stream.upstream.headers?.get("endpoint-load-metrics-format")).toBeUndefined();
    host.answer(stream, { headers: { "endpoint-load-metrics": loaded(40) } });
    expect(stream.downstream.headers?.get("endpoint-load-metrics")).toBe(loaded(40));
  });
});
