import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startReplica } from "../../../envoy/replica/index.ts";
import { MAX_BODY_BYTES } from "./limits.ts";
import { httpScrape, type Scrape } from "./scrape.ts";

const GOOD = "vllm:num_requests_running 1\nvllm:num_requests_waiting 2\n";
const TIMEOUT_MS = 150;

let undo: (() => Promise<void> | void)[] = [];
let scrape: Scrape;
beforeEach(() => {
  const http = httpScrape(TIMEOUT_MS);
  scrape = http.scrape;
  undo = [() => http.close()];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function listening(server: Server | ReturnType<typeof createTcpServer>, close: () => void): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  undo.push(() => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    close();
    return closed;
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function web(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  return listening(server, () => server.closeAllConnections());
}

function raw(connected: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    connected(socket);
  });
  return listening(server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

describe("a replica", () => {
  it("is read while it works", async () => {
    const replica = await startReplica({ name: "r", models: ["m"] });
    undo.push(() => replica.close());
    const result = await scrape(`127.0.0.1:${replica.port}`);
    expect(result).toMatchObject({ load: { waiting: 0, running: 0, kvPermille: 0, activeAdapters: [] } });
    expect("load" in result && result.load.blockTokens > 0 && result.load.blocks > 0).toBe(true);
  });
});

describe("others", () => {
  it("one connection does for all scrapes of an endpoint", async () => {
    const sockets = new Set<unknown>();
    const address = await web((request, response) => {
      sockets.add(request.socket);
      expect([request.method, request.url, request.headers.host]).toEqual(["GET", "/metrics", address]);
      response.end(GOOD);
    });
    for (let i = 0; i < 5; i++) expect(await scrape(address)).toMatchObject({ load: { waiting: 2, running: 1 } });
    expect(sockets.size).toBe(1);
  });

  it("nobody there", async () => {
    const server = createTcpServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise<void>((resolve) => void server.close(() => resolve()));
    expect(await scrape(`127.0.0.1:${port}`)).toMatchObject({ fault: "unreachable" });
  });

  it("a silent one, one that drips headers, one that drips its body: the time is over for all", async () => {
    const silent = await raw(() => {});
    const drip = (first: string) => (socket: Socket) => {
      socket.write(first);
      const timer = setInterval(() => socket.write("x"), 20);
      socket.on("close", () => clearInterval(timer));
    };
    const headers = await raw(drip("HTTP/1.1 200 OK\r\nx-slow: "));
    const body = await raw(drip("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"));
    const began = performance.now();
    const results = await Promise.all([silent, headers, body].map(scrape));
    expect(results.map((each) => "fault" in each && each.fault)).toEqual(["timeout", "timeout", "timeout"]);
    expect(performance.now() - began).toBeLessThan(10 * TIMEOUT_MS);
  });

  it("a body without end, and one that is just small enough", async () => {
    let sent = 0;
    const endless = await web((_request, response) => {
      const part = "#".repeat(65_536);
      const more = () => {
        while (!response.destroyed && response.write(part)) sent += part.length;
      };
      response.on("drain", more);
      more();
    });
    expect(await scrape(endless)).toMatchObject({ fault: "too_large" });
    expect(sent).toBeLessThan(32 * MAX_BODY_BYTES);
    const full = await web((_request, response) => response.end(GOOD.padEnd(MAX_BODY_BYTES, "#")));
    expect(await scrape(full)).toMatchObject({ load: { waiting: 2 } });
    const over = await web((_request, response) => response.end(GOOD.padEnd(MAX_BODY_BYTES + 1, "#")));
    expect(await scrape(over)).toMatchObject({ fault: "too_large" });
  });

  it("garbage, bytes that are no text, and what closes at once or in the middle", async () => {
    const garbage = await raw((socket) => socket.end("not http at all\r\n\r\n"));
    expect(await scrape(garbage)).toMatchObject({ fault: "unreachable" });
    const bytes = await web((_request, response) => response.end(Buffer.from([0xff, 0x00, 0xc3, 0x28])));
    expect(await scrape(bytes)).toMatchObject({ fault: "malformed" });
    const closing = await raw((socket) => socket.destroy());
    expect(await scrape(closing)).toMatchObject({ fault: "unreachable" });
    const half = await raw((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n${GOOD}`, () => socket.destroy());
    });
    expect(await scrape(half)).toMatchObject({ fault: "unreachable" });
  });

  it("another status, and a redirect, which is not followed", async () => {
    let asked = 0;
    const elsewhere = await web((_request, response) => {
      asked++;
      response.end(GOOD);
    });
    const missing = await web((_request, response) => response.writeHead(404).end(GOOD));
    const moved = await web((_request, response) =>
      response.writeHead(302, { location: `http://${elsewhere}/metrics` }).end(),
    );
    expect(await scrape(missing)).toEqual({ fault: "status", message: "status 404" });
    expect(await scrape(moved)).toEqual({ fault: "status", message: "status 302" });
    expect(asked).toBe(0);
  });
});
