import { getEventListeners } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { ApiClient } from "./api-client.ts";
import { ApiError } from "./api-error.ts";
import type { Credentials } from "./cluster.ts";

const servers: Server[] = [];
const clients: ApiClient[] = [];
const sockets = new Set<Socket>();

async function serve(listener: RequestListener, credentials: Partial<Credentials> = {}, timeoutMs = 2_000) {
  const server = createServer(listener);
  servers.push(server);
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const whole = { headers: {}, tls: {}, ...credentials };
  const cluster = { server: `http://127.0.0.1:${port}/base`, namespace: "mesh", credentials: async () => whole };
  const client = new ApiClient(cluster, timeoutMs);
  clients.push(client);
  return { server, client };
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function refusal(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ApiError) return error;
  throw new Error(`not refused with an ApiError: ${String(error)}`);
}

const lines = { opened: () => {}, line: () => {}, paused: () => {}, maxMs: 2_000 };

describe("ApiClient", () => {
  it("asks with credentials, query and body, and reads JSON", async () => {
    const seen: unknown[] = [];
    const { client } = await serve(
      (request, response) => {
        const parts: Buffer[] = [];
        request.on("data", (part: Buffer) => parts.push(part));
        request.on("end", () => {
          const { authorization, accept, "content-type": type } = request.headers;
          seen.push([request.method, request.url, authorization, accept, type, Buffer.concat(parts).toString()]);
          response.end('{"käse":1}');
        });
      },
      { headers: { authorization: "Bearer abc" } },
    );
    expect(await client.call("GET", "/api/v1/pods", { query: { limit: 5, a: "b=c&d", no: undefined } })).toEqual({
      käse: 1,
    });
    await client.call("POST", "/x", { body: { text: "ä" }, accept: "application/json;as=Table" });
    expect(seen).toEqual([
      ["GET", "/base/api/v1/pods?limit=5&a=b%3Dc%26d", "Bearer abc", "application/json", undefined, ""],
      ["POST", "/base/x", "Bearer abc", "application/json;as=Table", "application/json", '{"text":"ä"}'],
    ]);
  });

  it("says what the server says, bounded and in one line, and how long to wait", async () => {
    const { client } = await serve((request, response) => {
      const name = request.url?.split("/").at(-1);
      const status = { reason: "Conflict", message: `no\n${"x".repeat(1_000)}`, details: { retryAfterSeconds: 3 } };
      if (name === "status") response.writeHead(409).end(JSON.stringify(status));
      if (name === "page") response.writeHead(502, { "retry-after": "100000" }).end("<html>".repeat(100));
      if (name === "date") response.writeHead(503, { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }).end("null");
      if (name === "huge") response.writeHead(500).end("x".repeat(70_000));
    });
    const conflict = await refusal(client.call("GET", "/status"));
    expect(conflict).toMatchObject({ fault: "status", status: 409, reason: "Conflict", retryAfterMs: 3_000 });
    expect(conflict.message).toMatch(/^\/status: status 409: no x{297}$/);
    expect(await refusal(client.call("GET", "/page"))).toMatchObject({
      status: 502,
      retryAfterMs: 60_000,
      message: "/page: status 502",
    });
    expect(await refusal(client.call("GET", "/date"))).toMatchObject({ status: 503, retryAfterMs: 0 });
    expect((await refusal(client.call("GET", "/huge"))).fault).toBe("too_large");
  });

  it("ends a call after its time, wherever the server stops, and when its caller gives up", async () => {
    const { client } = await serve(
      (request, response) => {
        if (request.url?.endsWith("begun")) response.writeHead(200).write('{"a":');
      },
      {},
      100,
    );
    expect((await refusal(client.call("GET", "/silent"))).message).toBe("no whole answer to GET /silent within 100 ms");
    expect((await refusal(client.call("PUT", "/begun"))).fault).toBe("timeout");
    expect((await refusal(client.watch("/silent", lines))).fault).toBe("timeout");
    const caller = new AbortController();
    const call = refusal(client.call("GET", "/silent", { signal: caller.signal }));
    caller.abort();
    expect((await call).fault).toBe("unreachable");
    expect((await refusal(client.call("GET", "/silent", { signal: caller.signal }))).fault).toBe("unreachable");
    await waitFor(() => sockets.size === 0, { what: "the end of all connections" });
  });

  it("refuses what is no JSON, and a connection that breaks", async () => {
    const { client, server } = await serve((request, response) => {
      if (request.url?.endsWith("text")) response.end("<html>");
      else request.socket.destroy();
    });
    expect(await refusal(client.call("GET", "/text"))).toMatchObject({ fault: "malformed" });
    expect(await refusal(client.call("DELETE", "/broken"))).toMatchObject({ fault: "unreachable", status: 0 });
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    expect((await refusal(client.call("GET", "/nobody"))).message).toMatch(/^\/nobody: .*ECONNREFUSED/);
  });

  it("asks again when a connection that had waited turns out to be closed, but never repeats a change", async () => {
    let requests = 0;
    const { client } = await serve((request, response) => {
      requests++;
      const first = !("asked" in request.socket);
      Object.assign(request.socket, { asked: true });
      // The second request on a connection finds it closed.
      if (first) response.end("{}");
      else request.socket.destroy();
    });
    await client.call("GET", "/a");
    await client.call("GET", "/b");
    expect(requests).toBe(3);
    await client.call("PUT", "/c", { body: {} });
    await client.call("PUT", "/d", { body: {} });
    expect(requests).toBe(5);
  });

  it("tells the lines of a watch as they come, and resolves at its end", async () => {
    const { client } = await serve((_, response) => {
      response.writeHead(200).write('{"a":1}\n{"b"');
      setImmediate(() => response.end(":2}\n"));
    });
    const told: string[] = [];
    await client.watch("/w", {
      ...lines,
      opened: () => told.push("opened"),
      line: (text) => told.push(text),
      paused: () => told.push("paused"),
    });
    expect(told.filter((each) => each !== "paused")).toEqual(["opened", '{"a":1}', '{"b":2}']);
    expect(told.at(-1)).toBe("paused");
  });

  it("refuses a watch that ends within a line, lasts too long, is refused, or whose consumer throws", async () => {
    const { client } = await serve((request, response) => {
      if (request.url?.endsWith("half")) response.end('{"a"');
      if (request.url?.endsWith("forever")) response.writeHead(200).flushHeaders();
      if (request.url?.endsWith("gone")) response.writeHead(410).end('{"reason":"Expired"}');
      if (request.url?.endsWith("lines")) response.writeHead(200).write("{}\n{}\n");
    });
    expect((await refusal(client.watch("/half", lines))).message).toBe("the watch of /half ended within an event");
    expect((await refusal(client.watch("/forever", { ...lines, maxMs: 50 }))).fault).toBe("timeout");
    expect((await refusal(client.watch("/gone", lines))).expired).toBe(true);
    const opened: string[] = [];
    const failing = {
      ...lines,
      opened: () => opened.push("x"),
      line: () => {
        throw new ApiError("malformed", "mine");
      },
    };
    expect((await refusal(client.watch("/lines", failing))).message).toBe("mine");
    expect(opened).toEqual(["x"]);
    await waitFor(() => [...sockets].every(({ destroyed }) => destroyed) || sockets.size <= 1, {
      what: "the end of the watches",
    });
  });

  it("ends everything when it is closed, and asks nothing after that", async () => {
    const { client } = await serve((request, response) => {
      if (request.url?.endsWith("watch")) response.writeHead(200).flushHeaders();
    });
    const calls = Array.from({ length: 20 }, () => refusal(client.call("GET", "/silent")));
    const watch = refusal(client.watch("/watch", lines));
    await waitFor(() => sockets.size === 21, { what: "all connections" });
    client.close();
    for (const { fault } of await Promise.all([...calls, watch])) expect(fault).toBe("unreachable");
    await waitFor(() => sockets.size === 0, { what: "the end of all connections" });
    expect((await refusal(client.call("GET", "/x"))).message).toBe("the connection to the API server is closed");
  });

  it("lets a watch that was answered last longer than a call may", async () => {
    const { client } = await serve(
      (_, response) => {
        response.writeHead(200).flushHeaders();
        setTimeout(() => response.end("{}\n"), 300);
      },
      {},
      150,
    );
    const told: string[] = [];
    await client.watch("/w", { ...lines, line: (text) => told.push(text), maxMs: 60_000 });
    expect(told).toEqual(["{}"]);
  });

  it("leaves nothing at the signal of a caller that outlives its calls", async () => {
    const { client } = await serve((_, response) => response.end("{}"));
    const { signal } = new AbortController();
    for (let n = 0; n < 3; n++) await client.call("GET", "/a", { signal });
    await client.watch("/w", { ...lines, signal }).catch(() => {});
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("asks nothing when its credentials cannot be had", async () => {
    let requests = 0;
    const { client: unused } = await serve(() => {
      requests++;
    });
    unused.close();
    const credentials = () => Promise.reject(new ApiError("credentials", "no token"));
    const client = new ApiClient({ server: "http://127.0.0.1:1", namespace: "mesh", credentials });
    clients.push(client);
    expect(await refusal(client.call("GET", "/x"))).toMatchObject({ fault: "credentials", message: "no token" });
    expect(requests).toBe(0);
  });
});
