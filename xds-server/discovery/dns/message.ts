/** Questions and answers of DNS as bytes; RFC 1035, RFC 2308 (negative answers), RFC 2782 (SRV). Pure. */
import { type Answer, decode, encode, type Packet, RECURSION_DESIRED } from "dns-packet";
import type { DnsRecordKind } from "../../config/discovery-model.ts";
import { UDP_PAYLOAD_BYTES } from "./limits.ts";

export interface DnsQuestion {
  /** 0 to 65,535. */
  readonly id: number;
  /** Without a dot at the end. */
  readonly name: string;
  readonly kind: DnsRecordKind;
}

interface RecordOf {
  /** Lower case, without a dot at the end. */
  readonly name: string;
  /** Seconds. */
  readonly ttl: number;
}

export type DnsRecord = RecordOf &
  (
    | { readonly kind: "A" | "AAAA"; readonly address: string }
    | { readonly kind: "CNAME"; readonly target: string }
    | {
        readonly kind: "SRV";
        readonly priority: number;
        readonly weight: number;
        readonly port: number;
        readonly target: string;
      }
  );

export interface DnsReply {
  /** `NOERROR`, `NXDOMAIN`, `SERVFAIL` and so on. */
  readonly code: string;
  /** The rest did not fit: TCP has all of it. */
  readonly truncated: boolean;
  readonly answers: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
  /** How long an answer without records holds, seconds; undefined when the server does not say. */
  readonly negativeTtl: number | undefined;
}

export function encodeQuestion({ id, name, kind }: DnsQuestion): Buffer {
  const edns = {
    name: ".",
    type: "OPT",
    udpPayloadSize: UDP_PAYLOAD_BYTES,
    flags: 0,
    options: [],
  } as unknown as Answer;
  return encode({
    type: "query",
    id,
    flags: RECURSION_DESIRED,
    questions: [{ name, type: kind, class: "IN" }],
    additionals: [edns],
  });
}

/**
 * The answer to a question; undefined for a packet that is not one: another id, another question, no answer at all. Names are compared without regard to case.
 * @throws Error for an answer that cannot be decoded
 */
export function decodeReply(bytes: Uint8Array, question: DnsQuestion): DnsReply | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 12 || buffer.readUInt16BE(0) !== question.id || ((buffer[2] ?? 0) & 0x80) === 0) return undefined;
  const packet = decode(buffer) as Packet & { readonly rcode?: string; readonly flag_tc?: boolean };
  const [asked, ...more] = packet.questions ?? [];
  if (asked === undefined || more.length > 0) return undefined;
  if (plainName(asked.name) !== plainName(question.name) || asked.type !== question.kind) return undefined;
  return {
    code: packet.rcode ?? "NOERROR",
    truncated: packet.flag_tc === true,
    answers: records(packet.answers),
    additionals: records(packet.additionals),
    negativeTtl: negativeTtl(packet.authorities),
  };
}

/** As names are compared. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** Labels of 1 to 63 letters, digits, `-` and `_`, at most 253 bytes: what services are called, and no more. */
export function isName(name: string): boolean {
  return name.length <= 253 && /^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$/.test(name);
}

function records(answers: readonly Answer[] | undefined): readonly DnsRecord[] {
  return (answers ?? []).flatMap((answer): readonly DnsRecord[] => {
    const name = plainName(answer.name);
    const ttl = "ttl" in answer ? seconds(answer.ttl) : 0;
    if (answer.type === "A" || answer.type === "AAAA") return [{ kind: answer.type, name, ttl, address: answer.data }];
    if (answer.type === "CNAME") return [{ kind: "CNAME", name, ttl, target: plainName(answer.data) }];
    if (answer.type !== "SRV") return [];
    const { priority = 0, weight = 0, port, target } = answer.data;
    return [{ kind: "SRV", name, ttl, priority, weight, port, target: plainName(target) }];
  });
}

/** RFC 2308, section 5: the smaller of the TTL of the SOA record and its MINIMUM. */
function negativeTtl(authorities: readonly Answer[] | undefined): number | undefined {
  const soa = authorities?.find((each) => each.type === "SOA");
  return soa === undefined ? undefined : Math.min(seconds(soa.ttl), seconds(soa.data.minimum));
}

/** RFC 2181, section 8: with the highest bit set it is 0. */
function seconds(ttl: number | undefined): number {
  return ttl === undefined || ttl >= 2 ** 31 ? 0 : ttl;
}
