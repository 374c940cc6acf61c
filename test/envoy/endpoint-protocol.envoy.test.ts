/**
 * What the endpoint picker protocol asks of a picker, beyond what its conformance suite looks at: hints, ordered lists and retries, spoofed headers, and requests of all kinds.
 *
 * Reference: proposal 004 of kubernetes-sigs/gateway-api-inference-extension.
 */
import { Agent } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type JsonObject, type ListenerSpec, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import type { Clock, Replica } from "../../envoy/replica/index.ts";
import { ask, askMany, byName, CHAT, chatBody, misnamed, open, type Told, tally, told } from "./endpoint-clients.ts";
import * as gateway from "./endpoint-gateway.ts";
import { http1, http2 } from "./http-client.ts";

const { addressOf, addressesOf, DESTINATION, oneListener, pickedCluster, poolOf, PREFIX, SUBSET, TYPE } = gateway;

/** What a gateway in front knows is put where the protocol has it: a list, or a text with commas. */
const HINTS: JsonObject = {
  name: "envoy.filters.http.lua",
  typed_config: {
    "@type": `${TYPE}.filters.http.lua.v3.Lua`,
    default_source_code: {
      inline_string: `
        function envoy_on_request(handle)
          local key = "x-gateway-destination-endpoint-subset"
          local text = handle:headers():get("x-hint-text")
          if text ~= nil then handle:streamInfo():dynamicMetadata():set("envoy.lb.subset_hint", key, text) end
          local list = handle:headers():get("x-hint-list")
          if list == nil then return end
          local entries = {}
          for entry in string.gmatch(list, "[^,]+") do table.insert(entries, entry) end
          handle:streamInfo():dynamicMetadata():set("envoy.lb.subset_hint", key, entries)
        end`,
    },
  },
};

/** The clock of an engine that goes on when the test says so. */
class HeldClock implements Clock {
  private readonly waiting: (() => void)[] = [];
  private time = 0;
  now = (): number => this.time;
  after = (delayMs: number, action: () => void): (() => void) => {
    const step = (): void => {
      this.time += delayMs;
      action();
    };
    this.waiting.push(step);
    return () => void this.waiting.splice(this.waiting.indexOf(step), 1);
  };
  /** Runs what is due next. False when nothing is. */
  step(): boolean {
    const next = this.waiting.shift();
    next?.();
    return next !== undefined;
  }
}

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let picking: gateway.PickedGateway;
  let replicas: Replica[];
  let held: Replica;
  const clock = new HeldClock();
  let url: string;
  let hinted: string;
  let retrying: string;
  let partial: string;
  let streaming: string;

  beforeAll(async () => {
    replicas = await gateway.startReplicas("r", 4);
    const timing = {
      ...{ iterationMs: 1, prefillMsPerToken: 0, decodeMsPerSequence: 0, maxSequences: 64 },
      ...{ maxIterationTokens: 1 << 20, blockTokens: 16, kvBlocks: 1 << 16, maxModelTokens: 1 << 26 },
    };
    [held] = (await gateway.startReplicas("held", 1, { clock, timing })) as [Replica];
    const all = addressesOf(replicas);
    picking = await gateway.startPicking({
      version,
      listeners: listeners(all),
      clusters: [
        pickedCluster("models", all),
        pickedCluster("partial", all.slice(0, 2)),
        pickedCluster("held", addressesOf([held])),
      ],
    });
    url = picking.url;
    [hinted, retrying, partial, streaming] = (await Promise.all(
      ["hinted", "retrying", "partial", "streaming"].map((name) => picking.urlOf(name)),
    )) as [string, string, string, string];
  });
  afterEach(async () => {
    for (const replica of replicas) {
      await replica.recover();
      replica.clearRequests();
    }
  });
  afterAll(async () => {
    await picking?.envoy.stop();
    for (const replica of [...replicas, held]) await replica.close();
  });

  const listeners = (all: readonly string[]): ListenerSpec[] => [
    oneListener({ pools: [poolOf("models", all, { onNone: "refuse" })] }),
    {
      ...oneListener(
        { pools: [{ ...poolOf("hinted", all), subset: { metadata: true, header: SUBSET } }] },
        { before: [HINTS] },
      ),
      name: "hinted",
    },
    {
      ...oneListener({ pools: [poolOf("retrying", all, { policy: "round-robin" })] }, { action: gateway.RETRIES }),
      name: "retrying",
    },
    // The pool knows of endpoints that the cluster does not have any more.
    { ...oneListener({ pools: [poolOf("partial", all)] }), name: "partial", routes: [{ cluster: "partial" }] },
    {
      ...oneListener({ pools: [poolOf("held", addressesOf([held]))] }),
      name: "streaming",
      routes: [{ cluster: "held" }],
    },
  ];

  const seen = () => replicas.flatMap(({ requests }) => [...requests]);
  const listOf = (answer: Told): string => {
    const request = byName(replicas, answer.replica).requests.at(-1);
    return String(request?.headers[DESTINATION] ?? "");
  };
  const asError = ({ status, body }: Told) => [status, (JSON.parse(body) as { error: { code: string } }).error.code];
  const at = (index: number): string => addressOf(replicas[index] as Replica);

  describe("a hint", () => {
    const kinds = [
      ["a header", (text: string) => ({ [SUBSET]: text })],
      ["metadata with a text", (text: string) => ({ "x-hint-text": text })],
      ["metadata with a list", (text: string) => ({ "x-hint-list": text })],
    ] as const;

    test.each(kinds)("in %s is where the request goes", async (_, headersOf) => {
      for (const among of [[0], [2, 3], [3, 1, 0]]) {
        const headers = headersOf(among.map(at).join(","));
        const answers = await askMany(hinted, 20, 5, (n) => ({ text: `${n} ${among} `.repeat(300), headers }));
        expect(tally(answers, ({ status }) => status)).toEqual({ 200: 20 });
        expect(Object.keys(tally(answers, ({ replica }) => replica)).sort()).toEqual(among.map((i) => `r${i}`).sort());
        // The alternates are inside, too.
        const listed = new Set(answers.flatMap((answer) => listOf(answer).split(",")));
        expect([...listed].sort()).toEqual(among.map(at).sort());
      }
    });

    test.each(kinds)("in %s that leaves nobody is 503", async (_, headersOf) => {
      const answer = await ask(hinted, { headers: headersOf("127.0.0.1:1,10.9.9.9") });
      expect(asError(answer)).toEqual([503, "no_endpoint"]);
      expect(seen()).toEqual([]);
    });

    test("that is there and empty is 503", async () => {
      expect(asError(await ask(hinted, { headers: { [SUBSET]: "" } }))).toEqual([503, "no_endpoint"]);
      expect(asError(await ask(hinted, { headers: { "x-hint-text": "" } }))).toEqual([503, "no_endpoint"]);
    });
  });

  describe("the list", () => {
    test("has three endpoints, and the first of them serves", async () => {
      const answer = await ask(url);
      const list = listOf(answer).split(",");
      expect([new Set(list).size, list[0]]).toEqual([3, answer.served]);
      expect(list.filter((one) => !addressesOf(replicas).includes(one))).toEqual([]);
    });

    const failures = [
      ["refuses connections", { kind: "refuse" }],
      ["answers 503", { kind: "status", status: 503 }],
      ["resets the connection", { kind: "reset" }],
    ] as const;

    test.each(failures)("is what a retry goes down when the first %s", async (_, failure) => {
      const first = await ask(retrying);
      const [, , third] = listOf(first).split(",");
      expect(third).toBeDefined();
      // Round-robin: the next request gets the next one as its first.
      const list = [...addressesOf(replicas), ...addressesOf(replicas)];
      const from = list.indexOf(first.served) + 1;
      const [failing, next] = [list[from], list[from + 1]];
      const broken = replicas.find((one) => addressOf(one) === failing) as Replica;
      broken.failNext(failure);
      const answer = await ask(retrying);
      expect([answer.status, answer.served]).toEqual([200, next]);
      expect(answer.replica).toBe(replicas.find((one) => addressOf(one) === next)?.name);
      if (failure.kind !== "refuse") expect(broken.requests).toHaveLength(first.served === failing ? 2 : 1);
      await broken.recover();
      // A second in quarantine.
      await waitFor(async () => (await ask(retrying)).served === failing, { what: "the endpoint that failed" });
    });

    test("is gone down to its end when two fail", async () => {
      const among = [0, 1, 2].map(at);
      const first = await ask(retrying, { among });
      const order = [0, 1, 2].map((offset) => (Number(first.replica.slice(1)) + 1 + offset) % 3);
      const [one, two, three] = order.map((index) => replicas[index]) as [Replica, Replica, Replica];
      one.failNext({ kind: "status", status: 503 });
      two.failNext({ kind: "status", status: 503 });
      const answer = await ask(retrying, { among });
      expect([answer.status, answer.replica, answer.served]).toEqual([200, three.name, addressOf(three)]);
      expect([one.requests.length, two.requests.length]).toEqual([first.replica === one.name ? 2 : 1, 1]);
    });

    test("may name endpoints that the cluster does not have: Envoy's own policy takes over", async () => {
      const answers = await askMany(partial, 60, 6, (n) => ({ text: `${n} `.repeat(600) }));
      expect(tally(answers, ({ status }) => status)).toEqual({ 200: 60 });
      expect(misnamed(replicas, answers)).toEqual([]);
      expect(tally(answers, ({ replica }) => (["r0", "r1"].includes(replica) ? "there" : "gone"))).toEqual({
        there: 60,
      });
      for (const gone of [2, 3]) {
        const answer = await ask(partial, { among: [at(gone)] });
        expect([answer.status, ["r0", "r1"].includes(answer.replica)]).toEqual([200, true]);
      }
    });
  });

  test("clients cannot choose: their headers are taken away, whatever their spelling and number", async () => {
    for (const client of [http1, http2]) {
      const lower = client === http2;
      const spoofed = {
        [lower ? DESTINATION : "X-Gateway-Destination-ENDPOINT"]: [at(3), at(3)],
        [lower ? PREFIX : "X-LLM-Prefix"]: "0000000000000000",
        "x-llm-anything": "1",
        [SUBSET]: at(1),
      };
      for (const request of [
        { path: CHAT, body: chatBody("hello") },
        { path: CHAT, body: "{" },
        { path: CHAT, body: "" },
      ]) {
        const answer = told(
          await client(url, { ...request, headers: { ...spoofed, "content-type": "application/json" } }),
        );
        expect([answer.replica, answer.served]).toEqual(["r1", at(1)]);
      }
      // What is no LLM call is nobody's pick, so nothing of that kind goes on.
      await client(url, { method: "GET", path: "/v1/models", headers: spoofed });
    }
    const values = (name: string) => tally(seen(), ({ headers }) => String(headers[name]));
    expect(values(DESTINATION)).toEqual({ [at(1)]: 6, undefined: 2 });
    expect(values("x-llm-anything")).toEqual({ undefined: 8 });
    expect(Object.keys(values(PREFIX))).not.toContain("0000000000000000");
  });

  test("the prefix is that of the prompt: the same for each way to write it, another for another prompt", async () => {
    const prompt = "café of the prompts ".repeat(30);
    await ask(url, { text: prompt });
    const spelled = chatBody(prompt, { temperature: 1 }).replaceAll("é", "\\u00e9").replaceAll(":", " : ");
    await http1(url, { path: CHAT, headers: { "content-type": "application/json" }, body: spelled });
    await ask(url, { text: `another ${prompt}` });
    const keys = seen().map(({ headers }) => String(headers[PREFIX]));
    expect(keys).toHaveLength(3);
    expect(keys.filter((one) => !/^[0-9a-f]{16}$/.test(one))).toEqual([]);
    expect(new Set(keys).size).toBe(2);
  });

  test("an answer is not held back: its first event is there while the rest is still to come", async () => {
    const call = open(streaming, { more: { stream: true, max_tokens: 5 } });
    await call.answered;
    // Nothing runs before the test says so.
    await waitFor(() => (held.stats().tokens === 1 ? true : clock.step() && false), { what: "the first token" });
    await waitFor(() => call.text().includes("data: "), { what: "the first event" });
    expect(call.text()).not.toContain("[DONE]");
    await waitFor(() => !clock.step() || call.text().includes("[DONE]"), { what: "the rest", intervalMs: 1 });
    await call.ended;
    expect(call.text()).toContain("[DONE]");
  });

  test("bodies of megabytes, with a length and in pieces", async () => {
    const body = chatBody("word ".repeat(420_000));
    expect(body.length).toBeGreaterThan(2_000_000);
    const headers = { "content-type": "application/json" };
    for (const [client, pieceBytes] of [
      [http1, undefined],
      [http1, 50_000],
      [http2, 50_000],
    ] as const) {
      const request = { path: CHAT, headers, body, ...(pieceBytes === undefined ? {} : { pieceBytes }) };
      const answer = told(await client(url, request));
      expect([answer.status, answer.served]).toEqual([200, addressOf(byName(replicas, answer.replica))]);
    }
    // Whole, and each at the same endpoint: it has the beginning in its cache.
    expect(tally(seen(), (one) => one.body.length)).toEqual({ [body.length]: 3 });
    expect(replicas.filter(({ requests }) => requests.length > 0)).toHaveLength(1);
  });

  test("requests without a body, and ones whose body is broken, reach an endpoint, which answers them", async () => {
    const list = told(await http1(url, { method: "GET", path: "/v1/models" }));
    expect([list.status, list.served]).toEqual([200, ""]);
    expect((JSON.parse(list.body) as { object: string }).object).toBe("list");
    for (const body of ["", '{"model":', "[]", "\xff"]) {
      const answer = told(await http1(url, { path: CHAT, headers: { "content-type": "application/json" }, body }));
      expect([body, answer.status, answer.served]).toEqual([body, 400, addressOf(byName(replicas, answer.replica))]);
    }
    // A complaint of the server about its client is no failure of the server.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const answers = await askMany(url, 40, 1, (n) => ({ text: `${n} `.repeat(600), agent }));
    agent.destroy();
    expect(Object.keys(tally(answers, ({ replica }) => replica))).toHaveLength(4);
  });
});
