/** llm-stream-end where things meet: the upstream's own end, other streams, small windows, clients that leave, TLS, old protocols. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent as PlainAgent } from "node:http";
import { Agent } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { projectRoot, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { ask1, ask2, raw, requestBytes, type Seen, seen as seenIn, session } from "./stream-end-clients.ts";
import { type StoppingGateway, type StoppingOptions, startStopping } from "./stream-end-gateway.ts";

/** Without the body, which is long. */
const short = ({ body: _, ...rest }: Seen) => rest;
const STOPPED = { end: "end", stopped: true };
const STOPPED_2 = { ...STOPPED, code: 0 };
const names = (prefix: string, length: number) => Array.from({ length }, (_, i) => `${prefix}-${i}`);

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  const started = async (options: Partial<StoppingOptions> = {}): Promise<StoppingGateway> => {
    const gateway = await startStopping({ version, ...options });
    onTestFinished(() => gateway.close());
    return gateway;
  };
  const connected = async (url: string, settings: object = {}, ca?: string) => {
    const client = await session(url, settings, ca);
    onTestFinished(() => client.destroy());
    return client;
  };

  test("without the network filter: the same bytes, and the end comes with the upstream's", async () => {
    const gateway = await started({ ends: false });
    const headers = { "x-events": "200" };
    const one = await ask1(gateway.url, { team: "stop-1", headers });
    const two = await ask2(await connected(gateway.url), { team: "stop-2", headers });
    for (const seen of [one, two]) {
      expect(short(seen)).toMatchObject(STOPPED);
      expect(seen.tokens).toBeLessThan(150);
    }
    for (const name of ["stop-1", "stop-2"]) expect(gateway.server.served.get(name)?.events).toBe(200);
    await gateway.untilStopped({ dropped: 2 });
  });

  test("TLS that Envoy terminates: HTTP/1.1 and HTTP/2", async () => {
    const { certificate, transportSocket } = await selfSigned();
    const gateway = await started({ transportSocket });
    const client = await connected(gateway.url, {}, certificate);
    expect(client.alpnProtocol).toBe("h2");
    expect(short(await ask2(client, { team: "stop-2" }))).toMatchObject(STOPPED_2);
    const agent = new Agent({ ca: certificate, keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const one = await Promise.all(names("stop-1", 4).map((team) => ask1(gateway.url, { team }, agent)));
    for (const seen of one) expect(short(seen)).toMatchObject(STOPPED);
    for (const name of ["stop-2", ...names("stop-1", 4)]) await gateway.server.served.get(name)?.aborted;
    await gateway.untilStopped({ ended: 5 });
  });

  test.each([
    ["data", {}],
    ["trailers", { "x-trailers": "1" }],
  ] as const)("the upstream ends in the turn in which the stream is stopped, with %s", async (_, more) => {
    const gateway = await started({ upstreamHttp2: true });
    const client = await connected(gateway.url);
    const headers = { "x-burst": "1", "x-events": "300", ...more };
    for (const name of names("stop-h2", 10)) {
      expect(short(await ask2(client, { team: name, headers }))).toMatchObject(STOPPED_2);
    }
    for (const name of names("stop-h1", 10)) {
      expect(short(await ask1(gateway.url, { team: name, headers }))).toMatchObject(STOPPED);
    }
    const free = await ask2(client, { team: "free", headers });
    expect(short(free)).toEqual({ end: "end", code: 0, tokens: 300, stopped: false });
    await gateway.untilStopped({ ended: 20 });
  });

  test("streams of one budget on one connection, stopped in one turn", async () => {
    const gateway = await started({ upstreamHttp2: true });
    const client = await connected(gateway.url);
    const free = names("free", 10).map((name) => ask2(client, { team: "free", name, headers: { "x-events": "100" } }));
    const one = { team: "stop-together", headers: { "x-at-once": "30" } };
    const stopped = names("together", 2).map((name) => ask2(client, { ...one, name }));
    for (const seen of await Promise.all(stopped)) expect(short(seen)).toMatchObject(STOPPED_2);
    for (const seen of await Promise.all(free))
      expect(short(seen)).toEqual({ end: "end", code: 0, tokens: 100, stopped: false });
    await gateway.untilStopped({ ended: 2 });
  });

  test("a last piece of several frames", async () => {
    const gateway = await started();
    const client = await connected(gateway.url, { initialWindowSize: 4 << 20 });
    client.setLocalWindowSize(8 << 20);
    const seen = await ask2(client, { team: "stop-big", headers: { "x-text": "40000" } });
    expect(short(seen)).toMatchObject(STOPPED_2);
    await gateway.untilStopped({ ended: 1 });
  });

  test("a client whose window is full gets its end with the upstream's", async () => {
    const gateway = await started();
    const client = await connected(gateway.url, { initialWindowSize: 600 });
    const headers = { "x-events": "300", "x-at-once": "100" };
    const seen = await ask2(client, { team: "stop-slow", headers });
    expect(short(seen)).toMatchObject(STOPPED_2);
    await gateway.untilStopped({ dropped: 1 });
  });

  test("bytes that wait for the client's window and are written later are not the end", async () => {
    const gateway = await started();
    const client = await connected(gateway.url, { initialWindowSize: 0 });
    const headers = { "x-events": "300", "x-at-once": "200", "x-waits": "1" };
    const stopped = ask2(client, { team: "stop-waits", headers });
    const counter = "wasmcustom.tokenmesh_rate_limit_requests;rule=stop;outcome=stopped";
    const isStopped = async () => [...(await gateway.envoy.admin.stats(counter)).values()].some((value) => value === 1);
    await waitFor(isStopped, { what: "the stop" });
    client.settings({ initialWindowSize: 1 << 20 });
    const events = () => gateway.server.served.get("stop-waits");
    events()?.goOn();
    expect(short(await stopped)).toMatchObject(STOPPED_2);
    expect(events()?.events).toBe(300);
    await gateway.untilStopped({ dropped: 1 });
  });

  test("clients that leave while streams are stopped", async () => {
    const gateway = await started({ concurrency: 2 });
    const client = await connected(gateway.url);
    for (let i = 0; i < 16; i++) {
      const left = await session(gateway.url);
      const stopped = ask2(left, { team: `stop-leaves-${i}` }, (piece) => {
        if (i % 2 === 0 ? piece.includes('"length"') : i % 4 === 1) left.destroy();
      });
      await stopped;
      left.destroy();
      await ask1(gateway.url, { team: `stop-after-${i}`, headers: { "x-at-once": "30" } });
    }
    const seen = await ask2(client, { team: "free", headers: { "x-events": "3" } });
    expect(short(seen)).toEqual({ end: "end", code: 0, tokens: 3, stopped: false });
  });

  test("many at once, of all kinds", async () => {
    const gateway = await started({ concurrency: 2, upstreamHttp2: true });
    const agent = new PlainAgent({ keepAlive: true, maxSockets: 2 });
    onTestFinished(() => agent.destroy());
    const clients = await Promise.all([{}, {}, { initialWindowSize: 2_000 }].map((s) => connected(gateway.url, s)));
    const wrong: object[] = [];
    const user = async (number: number): Promise<void> => {
      const client = clients[(number % 4) - 1];
      for (let i = 0; i < 15; i++) {
        const free = i % 5 === 4;
        const events = free ? 20 + i : 400;
        const text = 20 + ((number * 70 + i * 130) % 400);
        const headers = { "x-events": `${events}`, "x-at-once": `${1 + ((number + i) % 30)}`, "x-text": `${text}` };
        const one = { team: free ? "free" : `stop-${number}-${i}`, headers };
        const seen = short(await (client === undefined ? ask1(gateway.url, one, agent) : ask2(client, one)));
        const right = seen.end === "end" && seen.stopped !== free && (!free || seen.tokens === events);
        if (!right) wrong.push({ ...one, ...seen });
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, number) => user(number)));
    expect(wrong).toEqual([]);
  });

  test("HTTP/1.0: the end of the connection is the end of the answer", async () => {
    const gateway = await started({ hcm: { http_protocol_options: { accept_http_10: true } } });
    const answer = await raw(gateway.url, requestBytes("1.0", { team: "stop-old" }));
    expect(answer).not.toContain("chunked");
    expect(seenIn(answer, "end").stopped).toBe(true);
    await gateway.server.served.get("stop-old")?.aborted;
    await gateway.untilStopped({ ended: 1 });
  });

  test("a request that was sent behind the stopped one is not answered", async () => {
    const gateway = await started();
    const both = requestBytes("1.1", { team: "stop-first" }) + requestBytes("1.1", { team: "free", name: "second" });
    const answer = await raw(gateway.url, both).catch((error: Error) => error.message);
    expect(answer.split("HTTP/1.1 200").length).toBeLessThanOrEqual(2);
    await gateway.untilStopped({ ended: 1 });
    expect(gateway.server.served.has("second")).toBe(false);
  });

  test("connections whose time is over", async () => {
    const hcm = { common_http_protocol_options: { max_connection_duration: "0.1s" }, drain_timeout: "5s" };
    const gateway = await started({ hcm });
    expect(short(await ask1(gateway.url, { team: "stop-1" }))).toMatchObject(STOPPED);
    expect(short(await ask2(await connected(gateway.url), { team: "stop-2" }))).toMatchObject(STOPPED_2);
    await gateway.untilStopped({ ended: 2 });
  });

  test("a VM that traps takes its connections along, and the next one ends streams again", async () => {
    const name = "trapping-stream-end";
    const file = join(projectRoot(), `build/test-wasm/${name}.wasm`);
    // Envoy closes connections of a VM that is gone without saying why, and reports that of itself.
    const gateway = await started({ module: { name, file }, allowErrors: [/\[wasm\]/, /\[envoy_bug\]/] });
    const client = await connected(gateway.url);
    client.on("error", () => {});
    const closed = new Promise((resolve) => client.on("close", resolve));
    const running = ask2(client, { team: "free", name: "running" });
    await waitFor(() => (gateway.server.served.get("running")?.events ?? 0) > 3, { what: "a running stream" });
    await ask1(gateway.url, { team: "free", headers: { "x-trap": "now" } });
    await Promise.all([closed, running, gateway.server.served.get("running")?.aborted]);
    let tries = 0;
    const ended = async () => (await ask1(gateway.url, { team: `stop-${tries++}` })).stopped;
    await waitFor(ended, { what: "a new VM" });
    const two = await ask2(await connected(gateway.url), { team: "stop-2" });
    expect(short(two)).toMatchObject(STOPPED_2);
    await gateway.untilStopped({ ended: 2 });
  });

  test("another filter changes the bytes: they are left alone", async () => {
    const gateway = await started({ httpFilters: [COMPRESSOR] });
    const headers = { "x-events": "200", "accept-encoding": "gzip" };
    for (const seen of [
      await ask1(gateway.url, { team: "stop-1", headers }),
      await ask2(await connected(gateway.url), { team: "stop-2", headers }),
    ]) {
      const text = gunzipSync(Buffer.from(seen.body, "latin1")).toString();
      expect(short(seenIn(text, seen.end))).toMatchObject(STOPPED);
    }
    await gateway.untilStopped({ dropped: 2 });
  });
});

const COMPRESSOR = {
  name: "compressor",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
    response_direction_config: { common_config: { content_type: ["text/event-stream"], min_content_length: 1 } },
    compressor_library: {
      name: "gzip",
      typed_config: { "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip" },
    },
  },
};

/** A certificate for 127.0.0.1, and a listener's socket that shows it. */
async function selfSigned() {
  const folder = await mkdtemp(join(tmpdir(), "tokenmesh-tls-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await promisify(execFile)("openssl", ["req", "-x509", ...kind, "-keyout", key, "-out", cert, ...subject]);
  const tls = {
    common_tls_context: {
      alpn_protocols: ["h2", "http/1.1"],
      tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
    },
  };
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
  const transportSocket = { name: "envoy.transport_sockets.tls", typed_config: { "@type": type, ...tls } };
  return { certificate: await readFile(cert, "utf8"), transportSocket };
}
