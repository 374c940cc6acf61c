/**
 * Who may use the admin API. With a token, whoever sends it; with an authority for client certificates, whoever has one of it (the TLS handshake saw to that); with
 * neither, the server's own machine, and no web page in a browser there.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./api-error.ts";

export interface AccessRules {
  /** Bearer token. */
  readonly token: string | undefined;
  /** Client certificates are asked for. */
  readonly clientCertificates: boolean;
}

/** What of a request decides. */
export interface Caller {
  readonly authorization: string | undefined;
  readonly origin: string | undefined;
  readonly host: string | undefined;
  readonly remoteAddress: string | undefined;
  /** The connection has a client certificate that was verified. */
  readonly certified: boolean;
}

const LOOPBACK_NAME = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/i;
const LOOPBACK_ADDRESS = /^(127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/;

/** An address to listen on, without its port, that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return LOOPBACK_NAME.test(host);
}

/** Why the caller may not; undefined when he may. */
export function refusal(caller: Caller, { token, clientCertificates }: AccessRules): ApiError | undefined {
  // A page in the operator's browser reaches loopback too, with an Origin, or under a name of its own that resolves to it.
  if (caller.origin !== undefined) return new ApiError("TM_API_FORBIDDEN", "requests of web pages are refused");
  if (clientCertificates && caller.certified) return undefined;
  if (token !== undefined) {
    const given = /^Bearer +(\S+) *$/i.exec(caller.authorization ?? "")?.[1] ?? "";
    if (sameSecret(given, token)) return undefined;
    return new ApiError("TM_API_UNAUTHORIZED", "the token is missing or wrong", {
      headers: { "www-authenticate": 'Bearer realm="tokenmesh"' },
    });
  }
  if (clientCertificates) return new ApiError("TM_API_UNAUTHORIZED", "a client certificate is missing");
  const name = (caller.host ?? "").replace(/:\d+$/, "");
  if (LOOPBACK_ADDRESS.test(caller.remoteAddress ?? "") && LOOPBACK_NAME.test(name)) return undefined;
  return new ApiError(
    "TM_API_FORBIDDEN",
    "without a token only the server's own machine may ask, under a name of loopback",
  );
}

/** Compared as hashes, in constant time: the length of the secret does not show either. */
function sameSecret(a: string, b: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
