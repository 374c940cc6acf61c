/** One call for all who ask the same at the same time, over the workers of a real Envoy: what the upstream is asked, and who waits. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  projectRoot,
  staticBootstrap,
  versionsUnderTest,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";

interface Call {
  key: string;
  id: string;
  answer: (status?: number) => void;
}

interface Answer {
  status: number;
  flight: string;
  answer: string;
}

const count = (answers: readonly Answer[], flight: string) => answers.filter((one) => one.flight === flight).length;

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let upstream: Server;
  let envoy: EnvoyProcess;
  let url: string;
  const calls: Call[] = [];
  let keys = 1000;

  beforeAll(async () => {
    upstream = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
      const key = String(incoming.headers["x-key"]);
      const number = calls.filter((call) => call.key === key).length + 1;
      const answer = (status = 200) => outgoing.writeHead(status, { "x-answer": `${key} of call ${number}` }).end();
      calls.push({ key, id: String(incoming.headers["x-id"]), answer });
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    const file = join(projectRoot(), "build/test-wasm/flight-probe.wasm");
    envoy = await EnvoyProcess.start({
      ...{ version, concurrency: 4, allowErrors: [/\[wasm\]/] },
      bootstrap: staticBootstrap({
        clusters: [cluster({ name: "a", targets: [(upstream.address() as AddressInfo).port] })],
        listeners: [
          httpListener({
            ...{ name: "main", routes: [{ cluster: "a" }] },
            httpFilters: [wasmFilter({ name: "flight-probe", file })],
          }),
        ],
      }),
    });
    url = `http://${await envoy.listenerAddress("main")}/`;
  });
  afterAll(async () => {
    await envoy?.stop();
    upstream?.closeAllConnections();
    upstream?.close();
  });

  const callsOf = (key: string) => calls.filter((call) => call.key === key);
  const callOf = (key: string, number = 1) =>
    waitFor(async () => callsOf(key)[number - 1], { what: `call ${number} for ${key}`, timeoutMs: 10_000 });

  /** A connection for each: the kernel spreads them over the workers. */
  const ask = (key: string, id = "", more: Readonly<Record<string, string>> = {}) => {
    const asked = request(url, { headers: { "x-key": key, "x-id": id, ...more }, agent: false });
    const answer = new Promise<Answer>((resolve, reject) => {
      asked.on("error", reject);
      asked.on("response", (response) => {
        const header = (name: string) => String(response.headers[name] ?? "");
        response.resume();
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, flight: header("x-flight"), answer: header("x-answer") }),
        );
      });
      asked.end();
    });
    return { answer, hangUp: () => asked.destroy() };
  };
  const askAll = (key: string, requests: number) =>
    Array.from({ length: requests }, (_, number) => ask(key, `${key}-${number}`));
  /** All of these requests, and maybe others, are in Envoy. */
  const arrived = (before: number, requests: number) =>
    waitFor(async () => (await received()) >= before + requests, { what: `${requests} requests`, timeoutMs: 10_000 });
  const received = async () => (await envoy.admin.stats("^http\\..*downstream_rq_total$")).get(statName) ?? 0;
  const statName = "http.main.downstream_rq_total";

  test("a hundred at once cost one call, in all workers", async () => {
    for (let round = 0; round < 5; round++) {
      const key = String(++keys);
      const before = await received();
      const all = askAll(key, 100);
      await arrived(before, 100);
      (await callOf(key)).answer();
      const answers = await Promise.all(all.map(({ answer }) => answer));
      expect(new Set(answers.map(({ status, answer }) => `${status} ${answer}`))).toEqual(
        new Set([`200 ${key} of call 1`]),
      );
      expect(callsOf(key)).toHaveLength(1);
      expect(count(answers, "leader")).toBe(1);
      expect(count(answers, "remote")).toBeGreaterThan(20);
      expect(count(answers, "local")).toBeGreaterThan(5);
    }
  });

  test("those that come while it ends cost none more", async () => {
    for (let round = 0; round < 60; round++) {
      const key = String(++keys);
      const all = askAll(key, 40);
      // The answer is there while some have not yet asked.
      (await callOf(key)).answer();
      const answers = await Promise.all(all.map(({ answer }) => answer));
      expect(new Set(answers.map(({ answer }) => answer))).toEqual(new Set([`${key} of call 1`]));
      expect(callsOf(key)).toHaveLength(1);
    }
  });

  test("a call that fails is made again for one of those who wait", async () => {
    const key = String(++keys);
    const before = await received();
    const all = askAll(key, 40);
    await arrived(before, 40);
    (await callOf(key)).answer(500);
    (await callOf(key, 2)).answer();
    const answers = await Promise.all(all.map(({ answer }) => answer));
    expect(answers.filter(({ status }) => status === 500)).toHaveLength(1);
    expect(answers.filter(({ answer }) => answer === `${key} of call 2`)).toHaveLength(39);
    expect(callsOf(key)).toHaveLength(2);
  });

  test("a leader whose client hangs up is replaced, also when all that wait are elsewhere", async () => {
    for (let round = 0; round < 10; round++) {
      const key = String(++keys);
      const before = await received();
      const all = askAll(key, 6);
      await arrived(before, 6);
      const { id } = await callOf(key);
      const leader = all[Number(id.split("-")[1])];
      const rest = all.filter((one) => one !== leader).map(({ answer }) => answer);
      leader?.answer.catch(() => undefined);
      leader?.hangUp();
      (await callOf(key, 2)).answer();
      const answers = await Promise.all(rest);
      expect(new Set(answers.map(({ answer }) => answer))).toEqual(new Set([`${key} of call 2`]));
    }
  });

  test("a leader whose VM traps is replaced in another worker", async () => {
    const key = String(++keys);
    const leader = ask(key, "leader", { "x-trap": "now" });
    const call = await callOf(key);
    const before = await received();
    const all = askAll(key, 30);
    await arrived(before, 30);
    call.answer();
    expect((await leader.answer).status).toBe(503);
    const answers: Answer[] = [];
    for (const { answer } of all) answer.then((one) => answers.push(one)).catch(() => undefined);
    (await callOf(key, 2)).answer();
    // Who waited in the worker that trapped waits for a VM that is no more.
    await waitFor(async () => answers.length > 10, { what: "those of other workers", timeoutMs: 5_000 });
    expect(new Set(answers.map(({ answer }) => answer))).toEqual(new Set([`${key} of call 2`]));
    expect(count(answers, "lead")).toBe(1);
    expect(callsOf(key)).toHaveLength(2);
    for (const one of all) one.hangUp();
  });
});
