/** Who is at the other end of a connection. */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

export interface Peer {
  /** `host:port`, for people. */
  readonly address: string;
  /** False for a connection in plain text. */
  readonly tls: boolean;
  /** `address:port` of this side, as the connection came to it. */
  readonly reached?: string;
  /**
   * The SPIFFE id of the certificate that the client has shown and that a trusted authority has signed; undefined without one.
   * https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md
   */
  readonly spiffeId?: string;
}

/** https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#23-maximum-spiffe-id-length */
const MAX_SPIFFE_ID_BYTES = 2_048;

const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/[A-Za-z0-9._-]+)+$/;

export function peerOf(socket: Socket): Peer {
  // Joined: a template of this length is kept in its pieces, which take twice as much for as long as the connection is open.
  const address = [socket.remoteAddress ?? "unknown", socket.remotePort ?? 0].join(":");
  const reached = placeOf(socket);
  if (!(socket instanceof TLSSocket)) return { address, tls: false, ...(reached === undefined ? {} : { reached }) };
  // Without `authorized` the certificate is the client's word only.
  const names = socket.authorized ? socket.getPeerX509Certificate()?.subjectAltName : undefined;
  const spiffeId = names === undefined ? undefined : spiffeIdOf(names);
  return { address, tls: true, ...(spiffeId === undefined ? {} : { spiffeId }) };
}

function placeOf({ localAddress, localPort }: Socket): string | undefined {
  if (localAddress === undefined || localPort === undefined) return undefined;
  // IPv4 on a socket that takes both.
  const host = localAddress.replace(/^::ffff:(?=[0-9.]+$)/, "");
  return `${host.includes(":") ? `[${host}]` : host}:${localPort}`;
}

/**
 * The SPIFFE id among the alternative names as node writes them (`DNS:a, URI:spiffe://...`). A certificate with more than one URI has none: the standard
 * says so, and nothing says which one would count. Node puts a name with unusual characters into quotes; such a URI is no SPIFFE id.
 */
export function spiffeIdOf(names: string): string | undefined {
  const uris = splitNames(names).filter((name) => name.startsWith("URI:"));
  const id = uris[0]?.slice("URI:".length) ?? "";
  if (uris.length !== 1 || id.length > MAX_SPIFFE_ID_BYTES || !SPIFFE_ID.test(id)) return undefined;
  const segments = id.split("/").slice(3);
  return segments.includes(".") || segments.includes("..") ? undefined : id;
}

/** At commas that stand outside of quotes: a name may hold `, URI:spiffe://...` as text. */
function splitNames(names: string): readonly string[] {
  return names.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)?.map((name) => name.trim()) ?? [];
}
