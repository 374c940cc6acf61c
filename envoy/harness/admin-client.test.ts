import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { AdminClient, parseStats } from "./admin-client.ts";

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

async function serve(listener: RequestListener): Promise<AdminClient> {
  const started = createServer(listener);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  return new AdminClient(`127.0.0.1:${(started.address() as AddressInfo).port}`);
}

describe("parseStats", () => {
  it("reads counters and gauges and skips everything else", () => {
    const text = 'a.b: 3\nhttp.[::1]:80.rq: 12\nh: P0(nan,1) P25(nan,1)\ntext: "9"\nempty: No recorded values\n\n';
    expect(parseStats(text)).toEqual(
      new Map([
        ["a.b", 3],
        ["http.[::1]:80.rq", 12],
      ]),
    );
  });
});

describe("AdminClient", () => {
  it("sends the filter encoded", async () => {
    const admin = await serve((request, answer) => answer.end(`${request.url}: 1\n`));
    expect([...(await admin.stats("^a+b$")).keys()]).toEqual(["/stats?filter=%5Ea%2Bb%24"]);
  });

  it("lists bound listeners only", async () => {
    const bound = { name: "a", local_address: { socket_address: { address: "127.0.0.1", port_value: 81 } } };
    const unbound = { name: "b", local_address: { socket_address: { address: "127.0.0.1" } } };
    const pipe = { name: "c", local_address: { pipe: { path: "/x" } } };
    const admin = await serve((_, answer) => answer.end(JSON.stringify({ listener_statuses: [bound, unbound, pipe] })));
    expect(await admin.listeners()).toEqual(new Map([["a", "127.0.0.1:81"]]));
  });

  it("tells not ready from an error, and names the request that failed", async () => {
    const admin = await serve((_, answer) => answer.writeHead(503).end("PRE_INITIALIZING\n"));
    expect(await admin.ready()).toBe(false);
    await expect(admin.get("/memory")).rejects.toMatchObject({
      code: "admin_request_failed",
      message: `GET ${admin.url}/memory answered 503: PRE_INITIALIZING\n`,
    });
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
    await expect(admin.ready()).rejects.toMatchObject({ code: "admin_request_failed" });
  });
});
