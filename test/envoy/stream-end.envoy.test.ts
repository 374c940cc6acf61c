/**
 * llm-stream-end on real Envoy: a stream that the limiter stops ends at once and cleanly for its client, the model server is stopped, and nobody else notices.
 */
import { Agent } from "node:http";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { versionsUnderTest } from "../../envoy/harness/index.ts";
import { ask1, ask2, raw, requestBytes, type Seen, session } from "./stream-end-clients.ts";
import { type StoppingGateway, startStopping } from "./stream-end-gateway.ts";

const messages = [{ role: "user" as const, content: "hi" }];
/** Without the body, which is long. */
const short = ({ body: _, ...rest }: Seen) => rest;

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  describe("endless streams", () => {
    let gateway: StoppingGateway;
    const aborted = (name: string) => gateway.server.served.get(name)?.aborted;

    beforeAll(async () => {
      gateway = await startStopping({ version });
    });
    afterAll(() => gateway?.close());

    test("openai: the reason is the length, and the iteration is over", async () => {
      const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
      const stream = await openai.chat.completions.create(
        { model: "m", messages, stream: true, max_tokens: 20 },
        { headers: { "x-team": "stop-openai", "x-case": "openai" } },
      );
      const reasons: unknown[] = [];
      for await (const chunk of stream) reasons.push(chunk.choices[0]?.finish_reason);
      expect(reasons.at(-1)).toBe("length");
      expect(reasons.length).toBeGreaterThan(20);
      await aborted("openai");
    });

    test("anthropic: a final message that has reached its tokens", async () => {
      const anthropic = new Anthropic({ baseURL: gateway.url, apiKey: "none", maxRetries: 0 });
      const headers = { "x-team": "stop-anthropic", "x-case": "anthropic" };
      const message = await anthropic.messages
        .stream({ model: "m", messages, max_tokens: 20 }, { headers })
        .finalMessage();
      expect(message.stop_reason).toBe("max_tokens");
      await aborted("anthropic");
    });

    test("HTTP/1.1: the last chunk and the end of the connection, which the head has announced", async () => {
      const answer = await raw(gateway.url, requestBytes("1.1", { team: "stop-raw" }));
      const [head = "", ...rest] = answer.split("\r\n\r\n");
      expect(head.split("\r\n").slice(0, 2)).toEqual(["HTTP/1.1 200 OK", "connection: close"]);
      expect(head).toContain("transfer-encoding: chunked");
      expect(rest.join("\r\n\r\n")).toMatch(/data: \[DONE\]\n\n\r\n0\r\n\r\n$/);
      await aborted("stop-raw");
    });

    test("HTTP/1.1: answers that no rule may stop keep their connection", async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      onTestFinished(() => agent.destroy());
      const headers = { "x-events": "40" };
      for (const name of ["free-1", "free-2"]) {
        const seen = await ask1(gateway.url, { team: "free", name, headers }, agent);
        expect(short(seen)).toEqual({ end: "end", tokens: 40, stopped: false });
      }
      expect(Object.keys(agent.freeSockets)).toHaveLength(1);
    });

    test("HTTP/1.1: clients that wait for a free connection lose no request", async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 4 });
      onTestFinished(() => agent.destroy());
      const teams = Array.from({ length: 60 }, (_, i) => ({ team: `stop-agent-${i}`, headers: { "x-at-once": "20" } }));
      const seen = await Promise.all(teams.map((one) => ask1(gateway.url, one, agent)));
      expect(seen.map(short).filter(({ end, stopped }) => end !== "end" || !stopped)).toEqual([]);
      await Promise.all(teams.map(({ team }) => aborted(team)));
    });

    test("HTTP/2: stopped streams end, the others and the connection go on", async () => {
      const client = await session(gateway.url);
      onTestFinished(() => client.destroy());
      const free = Array.from({ length: 5 }, (_, i) =>
        ask2(client, { team: "free", name: `free2-${i}`, headers: { "x-events": "150" } }),
      );
      const stopped = Array.from({ length: 8 }, (_, i) => ask2(client, { team: `stop-h2-${i}` }));
      for (const seen of await Promise.all(stopped))
        expect(short(seen)).toMatchObject({ end: "end", code: 0, stopped: true });
      await Promise.all(Array.from({ length: 8 }, (_, i) => aborted(`stop-h2-${i}`)));
      for (const seen of await Promise.all(free))
        expect(short(seen)).toEqual({ end: "end", code: 0, tokens: 150, stopped: false });
      const later = await ask2(client, { team: "free", name: "later", headers: { "x-events": "3" } });
      expect(short(later)).toEqual({ end: "end", code: 0, tokens: 3, stopped: false });
    });

    test("counts them", async () => {
      await gateway.untilStopped({ ended: 3 + 60 + 8 });
    });
  });
});
