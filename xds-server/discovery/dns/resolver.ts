/** One question to the resolvers: over UDP, over TCP when the answer does not fit, each of them in turn. */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIP } from "node:net";
import type { DnsRecordKind } from "../../config/discovery-model.ts";
import type { Clock } from "../clock.ts";
import { DiscoveryError } from "../errors.ts";
import { MAX_STRAY_PACKETS, TCP_TIMEOUT_MS, UDP_TIMEOUTS_MS } from "./limits.ts";
import { type DnsQuestion, type DnsReply, decodeReply, encodeQuestion } from "./message.ts";

/** @throws DiscoveryError when no resolver answers with records, with "none" or with "no such name" */
export type Ask = (name: string, kind: DnsRecordKind, signal: AbortSignal) => Promise<DnsReply>;

export interface ResolverAddress {
  readonly host: string;
  readonly port: number;
}

/** Of `ip`, `ip:port` or `[ip]:port`, as configuration and `dns.getServers()` have it. */
export function resolverAddress(text: string): ResolverAddress {
  const [, v6, v4, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text) ?? [];
  return { host: v6 ?? v4 ?? text, port: port === undefined ? 53 : Number(port) };
}

/** @param resolvers is called for each question: those of the system may change */
export function resolver(resolvers: () => readonly ResolverAddress[], clock: Clock): Ask {
  return async (name, kind, signal) => {
    const servers = resolvers();
    let last: unknown = new DiscoveryError("TM_DISCOVERY_UNREACHABLE", "the system has no resolver");
    for (const timeoutMs of UDP_TIMEOUTS_MS) {
      for (const server of servers) {
        try {
          return checked(await askServer(server, { name, kind }, timeoutMs, clock, signal), server, name);
        } catch (error) {
          if (signal.aborted) throw error;
          last = error;
        }
      }
    }
    throw last;
  };
}

function checked(reply: DnsReply, server: ResolverAddress, name: string): DnsReply {
  if (reply.code === "NOERROR" || reply.code === "NXDOMAIN") return reply;
  const code = reply.code === "REFUSED" || reply.code === "NOTAUTH" ? "TM_DISCOVERY_DENIED" : "TM_DISCOVERY_FAILED";
  throw new DiscoveryError(code, `resolver ${shown(server)} answers ${reply.code} for ${name}`);
}

async function askServer(
  server: ResolverAddress,
  { name, kind }: Omit<DnsQuestion, "id">,
  timeoutMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<DnsReply> {
  // The id and the port of a new socket keep others from answering: not for the injected randomness of tests.
  const question = { id: randomInt(65_536), name, kind };
  const reply = await overUdp(server, question, timeoutMs, clock, signal);
  return reply.truncated ? overTcp(server, question, clock, signal) : reply;
}

interface Exchange {
  resolve(reply: DnsReply): void;
  fail(code: "TM_DISCOVERY_UNREACHABLE" | "TM_DISCOVERY_MALFORMED", reason: string): void;
}

/** What both transports share: the time-out, the abort, and that everything is ended once. */
function exchange(
  server: ResolverAddress,
  timeoutMs: number,
  clock: Clock,
  signal: AbortSignal,
  begin: (exchange: Exchange) => () => void,
): Promise<DnsReply> {
  return new Promise((resolve, reject) => {
    let ended = false;
    let stop = () => {};
    const end = (settle: () => void) => {
      if (ended) return;
      ended = true;
      cancel();
      signal.removeEventListener("abort", abort);
      stop();
      settle();
    };
    const abort = () => end(() => reject(signal.reason));
    const cancel = clock.after(timeoutMs, () => {
      const message = `resolver ${shown(server)} did not answer within ${timeoutMs} ms`;
      end(() => reject(new DiscoveryError("TM_DISCOVERY_TIMEOUT", message)));
    });
    signal.addEventListener("abort", abort);
    stop = begin({
      resolve: (reply) => end(() => resolve(reply)),
      fail: (code, reason) => end(() => reject(new DiscoveryError(code, `resolver ${shown(server)}: ${reason}`))),
    });
    if (ended) stop();
    else if (signal.aborted) abort();
  });
}

function overUdp(
  server: ResolverAddress,
  question: DnsQuestion,
  timeoutMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<DnsReply> {
  return exchange(server, timeoutMs, clock, signal, ({ resolve, fail }) => {
    const socket = createSocket(isIP(server.host) === 6 ? "udp6" : "udp4");
    let strays = 0;
    const unreachable = (error: Error) => fail("TM_DISCOVERY_UNREACHABLE", error.message.slice(0, 200));
    socket.on("error", unreachable);
    socket.on("message", (bytes) => {
      const reply = decoded(bytes, question, fail);
      if (reply !== undefined) resolve(reply);
      else if (++strays > MAX_STRAY_PACKETS) fail("TM_DISCOVERY_MALFORMED", "only packets that are no answers");
    });
    // Connected, so that only this server is heard, and that a closed port is an error instead of a time-out.
    socket.connect(server.port, server.host, () =>
      socket.send(encodeQuestion(question), (error) => error && unreachable(error)),
    );
    return () => socket.close();
  });
}

function overTcp(server: ResolverAddress, question: DnsQuestion, clock: Clock, signal: AbortSignal): Promise<DnsReply> {
  return exchange(server, TCP_TIMEOUT_MS, clock, signal, ({ resolve, fail }) => {
    const socket = connect({ host: server.host, port: server.port });
    const parts: Buffer[] = [];
    let bytes = 0;
    socket.on("error", (error) => fail("TM_DISCOVERY_UNREACHABLE", error.message.slice(0, 200)));
    socket.on("close", () => fail("TM_DISCOVERY_UNREACHABLE", "the connection ended before the answer"));
    socket.on("connect", () => {
      const message = encodeQuestion(question);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      socket.write(Buffer.concat([length, message]));
    });
    socket.on("data", (part) => {
      parts.push(part);
      bytes += part.length;
      if (bytes < 2) return;
      const all = parts.length === 1 ? part : Buffer.concat(parts);
      parts.splice(0, parts.length, all);
      const length = all.readUInt16BE(0);
      if (bytes < 2 + length) return;
      const reply = decoded(all.subarray(2, 2 + length), question, fail);
      if (reply === undefined) fail("TM_DISCOVERY_MALFORMED", "something else than the answer over TCP");
      else resolve({ ...reply, truncated: false });
    });
    return () => socket.destroy();
  });
}

function decoded(bytes: Buffer, question: DnsQuestion, fail: Exchange["fail"]): DnsReply | undefined {
  try {
    return decodeReply(bytes, question);
  } catch (error) {
    fail("TM_DISCOVERY_MALFORMED", error instanceof Error ? error.message.slice(0, 200) : "an answer that is none");
    return undefined;
  }
}

function shown({ host, port }: ResolverAddress): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}
