import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/fixtures/discovery/manual-clock.ts";
import { systemClock } from "../clock.ts";
import type { DiscoveryError } from "../errors.ts";
import { JsonClient, type JsonQuestion, refusal } from "./json-client.ts";

const open: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

function client(options: { clock?: ManualClock; maxBytes?: number } = {}): JsonClient {
  const { clock, ...rest } = options;
  const made = new JsonClient(clock ?? systemClock, rest);
  open.push(() => made.close());
  return made;
}

async function serve(listener: RequestListener): Promise<{ url: URL; server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/a?b=c`), server };
}

const failure = (made: JsonClient, question: JsonQuestion): Promise<DiscoveryError> =>
  made.get(question).then(
    () => Promise.reject(new Error("no failure")),
    (error: DiscoveryError) => error,
  );

describe("JSON client", () => {
  it("asks with the headers it is given, and for nothing compressed", async () => {
    const { url } = await serve((request, response) => {
      response.setHeader("x-index", "7");
      response.end(JSON.stringify({ url: request.url, headers: request.headers }));
    });
    const answer = await client().get({ url, headers: { "x-token": "t" }, timeoutMs: 5_000 });
    expect(answer.status).toBe(200);
    expect(answer.header("x-index")).toBe("7");
    expect(answer.header("x-other")).toBeUndefined();
    expect(answer.body).toMatchObject({
      url: "/v1/a?b=c",
      headers: { accept: "application/json", "accept-encoding": "identity", "x-token": "t" },
    });
  });

  it("reads answers that come in pieces of one byte", async () => {
    const { url } = await serve((_, response) => {
      const bytes = Buffer.from('{"a":"äöü"}');
      const next = (at: number) => {
        if (at === bytes.length) return response.end();
        response.write(bytes.subarray(at, at + 1), () => next(at + 1));
      };
      next(0);
    });
    expect((await client().get({ url, timeoutMs: 5_000 })).body).toEqual({ a: "äöü" });
  });

  it("uses a connection again", async () => {
    const ports = new Set<number | undefined>();
    const { url } = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      response.end("[]");
    });
    const made = client();
    for (let i = 0; i < 3; i++) await made.get({ url, timeoutMs: 5_000 });
    expect(ports.size).toBe(1);
  });

  it("reads exactly as many bytes as it may, and one more is an error", async () => {
    const body = JSON.stringify("x".repeat(98));
    const { url } = await serve((_, response) => response.end(body));
    expect((await client({ maxBytes: 100 }).get({ url, timeoutMs: 5_000 })).body).toBe("x".repeat(98));
    const error = await failure(client({ maxBytes: 99 }), { url, timeoutMs: 5_000 });
    expect(error.code).toBe("TM_DISCOVERY_TOO_LARGE");
    expect(error.message).toContain("99 bytes");
  });

  it("says which host does not answer with JSON", async () => {
    const { url } = await serve((_, response) => response.end("<html>"));
    const error = await failure(client(), { url, timeoutMs: 5_000 });
    expect(error.code).toBe("TM_DISCOVERY_MALFORMED");
    expect(error.message).toContain(url.host);
  });

  it("follows no redirect", async () => {
    let asked = 0;
    const { url } = await serve((_, response) => {
      asked++;
      response.writeHead(302, { location: "/elsewhere" });
      response.end();
    });
    const answer = await client().get({ url, headers: { "x-consul-token": "secret" }, timeoutMs: 5_000 });
    expect([answer.status, answer.body, asked]).toEqual([302, undefined, 1]);
  });

  it("shows one short line of an error, however long it is", async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(500);
      response.end(`No leader\r\n\u0007${"y".repeat(1_000_000)}`);
    });
    const answer = await client().get({ url, timeoutMs: 5_000 });
    expect(answer.text).toHaveLength(200);
    expect(answer.text).toMatch(/^No leader y+$/);
    const error = refusal(url, answer, "/v1/a");
    expect(error.code).toBe("TM_DISCOVERY_FAILED");
    expect(error.message).toContain("answers /v1/a with 500: No leader");
  });

  it.each([
    [401, "TM_DISCOVERY_DENIED"],
    [403, "TM_DISCOVERY_DENIED"],
    [404, "TM_DISCOVERY_FAILED"],
    [429, "TM_DISCOVERY_FAILED"],
    [503, "TM_DISCOVERY_FAILED"],
  ])("takes status %i for %s", (status, code) => {
    const answer = { status, header: () => undefined, body: undefined, text: "" };
    expect(refusal(new URL("http://h/"), answer, "x").code).toBe(code);
  });

  it("gives up a server that says nothing, and one that stops in the middle", async () => {
    const clock = new ManualClock();
    let asked = 0;
    const { url } = await serve((_, response) => {
      if (asked++ > 0) response.write("[");
    });
    for (const _ of [1, 2]) {
      const before = asked;
      const error = failure(client({ clock }), { url, timeoutMs: 700 });
      while (asked === before) await new Promise(setImmediate);
      clock.advance(699);
      clock.advance(1);
      expect((await error).code).toBe("TM_DISCOVERY_TIMEOUT");
      expect(clock.waiting).toBe(0);
    }
  });

  it("leaves no timer behind after an answer or a failure", async () => {
    const clock = new ManualClock();
    const { url } = await serve((_, response) => response.end("[]"));
    await client({ clock }).get({ url, timeoutMs: 5_000 });
    expect(clock.waiting).toBe(0);
  });

  it("ends a question when its signal fires, and asks none after it", async () => {
    const arrived: (() => void)[] = [];
    let ended = 0;
    const { url } = await serve((request) => {
      request.socket.once("close", () => ended++);
      for (const each of arrived) each();
    });
    const stop = new AbortController();
    const asked = new Promise<void>((resolve) => arrived.push(resolve));
    const error = failure(client(), { url, timeoutMs: 5_000, signal: stop.signal });
    await asked;
    stop.abort();
    expect((await error).code).toBe("TM_DISCOVERY_UNREACHABLE");
    await expect.poll(() => ended).toBe(1);
    const late = await failure(client(), { url, timeoutMs: 5_000, signal: stop.signal });
    expect(late.message).toContain("was ended");
  });

  it("asks again when the server closes a connection that was kept, and only then", async () => {
    let questions = 0;
    const server = createTcpServer((socket) => {
      let first = true;
      socket.on("data", () => {
        questions++;
        if (!first) return socket.resetAndDestroy();
        first = false;
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]");
      });
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    open.push(() => new Promise((resolve) => server.close(resolve)));
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const made = client();
    for (let i = 0; i < 3; i++) expect((await made.get({ url, timeoutMs: 5_000 })).body).toEqual([]);
    expect(questions).toBe(5); // the second and third question were asked twice
  });

  it("does not ask again when a fresh connection breaks", async () => {
    let questions = 0;
    const { url } = await serve((request) => {
      questions++;
      request.socket.resetAndDestroy();
    });
    const error = await failure(client(), { url, timeoutMs: 5_000 });
    expect([error.code, questions]).toEqual(["TM_DISCOVERY_UNREACHABLE", 1]);
    expect(error.message).toContain("ECONNRESET");
  });

  it("names the host that cannot be reached", async () => {
    const { url, server } = await serve(() => {});
    await new Promise((resolve) => server.close(resolve));
    const error = await failure(client(), { url, timeoutMs: 5_000 });
    expect(error.code).toBe("TM_DISCOVERY_UNREACHABLE");
    expect(error.message).toContain(`${url.host}: ECONNREFUSED`);
  });

  it("ends all connections when it is closed", async () => {
    const { url, server } = await serve((_, response) => response.end("[]"));
    const made = client();
    await made.get({ url, timeoutMs: 5_000 });
    const connections = () => new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
    expect(await connections()).toBe(1);
    made.close();
    await expect.poll(connections).toBe(0);
  });
});
