/** Scripted failures, as a peer sees them on its socket. */
import { connect, type Socket } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type Failure, FailureScript } from "./failures.ts";
import { type Replica, type ReplicaOptions, startReplica } from "./server.ts";
import { TIMING_PROFILES } from "./timing.ts";

async function start(options: Partial<ReplicaOptions> = {}): Promise<Replica> {
  const replica = await startReplica({ name: "r1", models: ["m1"], answerTokens: 8, ...options });
  onTestFinished(() => replica.close());
  return replica;
}

interface Seen {
  /** Everything that came, until the connection ended. */
  readonly text: string;
  /** How it ended: `end` (FIN), or the code of the error. */
  readonly end: string;
}

/** Sends one request on an own connection and reads until the replica ends it; `onText` sees what has come so far. */
function send(
  replica: Replica,
  path: string,
  body: string,
  onText?: (text: string, socket: Socket) => void,
): Promise<Seen> {
  return new Promise((resolve) => {
    const socket = connect(replica.port, "127.0.0.1");
    let text = "";
    const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    socket.write(head + body);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      onText?.(text, socket);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve({ text, end: error.code ?? "error" }));
    socket.on("end", () => resolve({ text, end: "end" }));
    socket.on("close", () => resolve({ text, end: "closed" }));
  });
}

const chat = (stream: boolean): string =>
  JSON.stringify({ model: "m1", messages: [{ role: "user", content: "hi" }], stream });
const status = ({ text }: Seen): number => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
const post = (replica: Replica, stream = true): Promise<Seen> => send(replica, "/v1/chat/completions", chat(stream));

describe("status", () => {
  test("the next request fails with the error object of its API, the one after it is answered", async () => {
    const replica = await start();
    const bodies: Record<string, unknown> = {
      "/v1/chat/completions": { error: { type: "rate_limit_error", code: "scripted_failure" } },
      "/v1/messages": { type: "error", error: { type: "rate_limit_error" } },
      "/v1beta/models/m1:generateContent": { error: { code: 429, status: "RESOURCE_EXHAUSTED" } },
    };
    for (const [path, expected] of Object.entries(bodies)) {
      replica.failNext({ kind: "status", status: 429, headers: { "retry-after": "7" } });
      const failed = await fetch(replica.url + path, { method: "POST", body: chat(false) });
      expect([failed.status, failed.headers.get("retry-after")]).toEqual([429, "7"]);
      expect(await failed.json()).toMatchObject(expected as object);
    }
    expect(status(await post(replica))).toBe(200);
    expect(replica.requests.map((one) => [one.model, one.status, one.outcome])).toEqual([
      ["m1", 429, "completed"],
      [undefined, 429, "completed"], // no max_tokens: not a message
      [undefined, 429, "completed"],
      ["m1", 200, "completed"],
    ]);
  });

  test("an own body, JSON or text", async () => {
    const replica = await start();
    const answer = async (failure: Failure): Promise<unknown[]> => {
      replica.failNext(failure);
      const got = await fetch(`${replica.url}/echo`, { method: "POST", body: "x" });
      return [got.status, got.headers.get("content-type"), await got.text()];
    };
    expect(await answer({ kind: "status", status: 503, body: "busy" })).toEqual([503, "text/plain", "busy"]);
    expect(await answer({ kind: "status", status: 500, body: { a: 1 } })).toEqual([500, "application/json", '{"a":1}']);
    const html = { "content-type": "text/html" };
    expect(await answer({ kind: "status", status: 502, headers: html, body: "<p>" })).toEqual([
      502,
      "text/html",
      "<p>",
    ]);
  });
});

describe("script", () => {
  test("failures queue up, count down and can be cleared", async () => {
    const replica = await start();
    replica.failNext({ kind: "status", status: 500 }, { times: 2 });
    replica.failNext({ kind: "status", status: 503 }, { times: "always" });
    const got: number[] = [];
    for (let i = 0; i < 6; i++) got.push(status(await post(replica)));
    expect(got).toEqual([500, 500, 503, 503, 503, 503]);
    await replica.recover();
    expect(status(await post(replica))).toBe(200);
  });

  test("health checks and metrics do not use a failure up", async () => {
    const replica = await start();
    replica.failNext({ kind: "status", status: 500 });
    expect((await fetch(`${replica.url}/health`)).status).toBe(200);
    expect((await fetch(`${replica.url}/metrics`)).status).toBe(200);
    expect(status(await post(replica))).toBe(500);
  });

  test("times must be countable", () => {
    for (const times of [0, -1, 1.5, Number.NaN]) {
      expect(() => new FailureScript().add({ kind: "hang" }, times)).toThrow(RangeError);
    }
  });
});

describe("connection", () => {
  test("reset: no byte of an answer, the request is recorded", async () => {
    const replica = await start();
    replica.failNext({ kind: "reset" });
    expect(await post(replica)).toEqual({ text: "", end: "ECONNRESET" });
    expect(replica.requests).toMatchObject([{ model: "m1", status: undefined, outcome: "broken" }]);
  });

  test("hang: nothing comes until the peer leaves", async () => {
    const replica = await start();
    replica.failNext({ kind: "hang" });
    const waiting = new AbortController();
    const answer = fetch(`${replica.url}/v1/chat/completions`, {
      method: "POST",
      body: chat(true),
      signal: waiting.signal,
    });
    answer.catch(() => {});
    await vi.waitFor(() => expect(replica.requests).toHaveLength(1));
    expect(status(await post(replica))).toBe(200); // others are served meanwhile
    expect(replica.requests[0]).toMatchObject({ model: "m1", status: undefined, outcome: "open" });
    waiting.abort();
    await expect(answer).rejects.toThrow();
    await vi.waitFor(() => expect(replica.requests[0]?.outcome).toBe("peer-gone"));
  });

  test("headersThenStall: the headers of a stream, then nothing until the peer leaves", async () => {
    const replica = await start();
    replica.failNext({ kind: "headersThenStall" });
    const stalled = await fetch(`${replica.url}/v1/chat/completions`, { method: "POST", body: chat(true) });
    expect([stalled.status, stalled.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
    const reader = stalled.body?.getReader();
    const first = reader?.read();
    expect(await Promise.race([first, post(replica).then(() => "nothing")])).toBe("nothing");
    expect(replica.requests[0]?.outcome).toBe("open");
    await reader?.cancel();
    await vi.waitFor(() => expect(replica.requests[0]?.outcome).toBe("peer-gone"));
  });

  test("refuse: nobody can connect until it recovers on the same port, and idle connections end", async () => {
    const replica = await start();
    expect((await fetch(`${replica.url}/health`)).status).toBe(200); // leaves an idle connection in fetch's pool
    replica.failNext({ kind: "refuse" });
    for (let i = 0; i < 2; i++) expect(await post(replica)).toEqual({ text: "", end: "ECONNREFUSED" });
    await expect(fetch(`${replica.url}/health`)).rejects.toThrow();
    expect(replica.requests).toEqual([]);
    await replica.recover();
    expect(status(await post(replica))).toBe(200);
    expect(() => replica.failNext({ kind: "refuse" }, { times: 3 })).toThrow(RangeError);
  });

  test("refuse: an answer under way goes on, but its connection brings no other request", async () => {
    const replica = await start();
    replica.failNext({ kind: "headersThenStall" });
    const socket = connect(replica.port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    const request = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.write(request("/echo/stalled"));
    await vi.waitFor(() => expect(text).toContain("text/event-stream"));
    replica.failNext({ kind: "refuse" });
    expect(await post(replica)).toMatchObject({ end: "ECONNREFUSED" });
    expect(replica.requests[0]?.outcome).toBe("open");
    socket.write(request("/echo/second"));
    await closed;
    expect(text).not.toContain("/echo/second");
  });
});

describe("breakMidStream", () => {
  /** The end of a chunked body. */
  const END = /\r\n0\r\n\r\n$/;

  test.each([0, 1, 3, 8])("chat: the connection ends after %i events, which all arrive", async (afterEvents) => {
    const replica = await start();
    replica.failNext({ kind: "breakMidStream", afterEvents });
    const seen = await post(replica);
    expect(status(seen)).toBe(200);
    expect(seen.end).toBe("end");
    expect(seen.text.match(/data: /g)?.length ?? 0).toBe(afterEvents);
    expect(seen.text).not.toContain("[DONE]");
    expect(seen.text).not.toMatch(END);
    await vi.waitFor(() => expect(replica.requests[0]?.outcome).toBe("broken"));
    expect((await post(replica)).text).toMatch(END); // the next one is whole
  });

  test("every API, and the JSON array of Gemini", async () => {
    const replica = await start();
    const body = JSON.stringify({
      model: "m1",
      max_tokens: 50,
      stream: true,
      input: "hi",
      messages: [{ role: "user", content: "hi" }],
      contents: [{ parts: [{ text: "hi" }] }],
    });
    const pieces = async (path: string, piece: RegExp, afterEvents = 4): Promise<number> => {
      replica.failNext({ kind: "breakMidStream", afterEvents });
      const seen = await send(replica, path, body);
      expect(seen.text).not.toMatch(END);
      return seen.text.match(piece)?.length ?? 0;
    };
    expect(await pieces("/v1/messages", /event: /g)).toBe(4);
    expect(await pieces("/v1/responses", /event: /g)).toBe(4);
    expect(await pieces("/v1beta/models/m1:streamGenerateContent?alt=sse", /data: /g)).toBe(4);
    expect(await pieces("/v1beta/models/m1:streamGenerateContent", /"candidates"/g)).toBe(4);
    // The last token and the event behind it come at the same moment.
    expect(await pieces("/v1/messages", /event: /g, 12)).toBe(12);
    expect(await pieces("/v1beta/models/m1:streamGenerateContent?alt=sse", /data: /g, 8)).toBe(8);
    expect(await pieces("/v1beta/models/m1:streamGenerateContent", /"candidates"/g, 8)).toBe(8);
  });

  test("an answer that is no stream is cut in the middle of its body", async () => {
    const replica = await start();
    replica.failNext({ kind: "breakMidStream", afterEvents: 3 });
    const { text } = await post(replica, false);
    const [head = "", body = ""] = text.split("\r\n\r\n");
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    expect(body.length).toBe(length >> 1);
    expect(replica.requests[0]?.outcome).toBe("broken");
  });

  test("an answer with fewer events breaks where it would have ended", async () => {
    const replica = await start();
    replica.failNext({ kind: "breakMidStream", afterEvents: 1000 });
    const { text } = await post(replica);
    expect(text).toContain("[DONE]");
    expect(text).not.toMatch(END);
    expect(replica.requests[0]?.outcome).toBe("broken");
  });

  test("a peer that leaves before the break is not a break", async () => {
    const replica = await start({ timing: { ...TIMING_PROFILES.instant, iterationMs: 20 } });
    replica.failNext({ kind: "breakMidStream", afterEvents: 1000 });
    await send(replica, "/v1/chat/completions", chat(true), (text, socket) => {
      if (text.includes("data: ")) socket.destroy();
    });
    await vi.waitFor(() => expect(replica.requests[0]?.outcome).toBe("peer-gone"));
  });
});
