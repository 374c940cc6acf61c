/** Where a registry is, and whom to believe that it is the one. */
import { readFileSync } from "node:fs";
import { DiscoveryError } from "../errors.ts";

/** Of an address as configurations have it, with or without a scheme: a URL without a slash at its end, to which paths can be appended. */
export function baseOf(address: string): string {
  const url = /^https?:\/\//i.test(address) ? address : `http://${address}`;
  return url.replace(/\/+$/, "");
}

/**
 * The authorities in a PEM file, in place of those that Node trusts by itself; undefined without a file.
 * @throws DiscoveryError TM_DISCOVERY_SECRET
 */
export function readAuthorities(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    const pem = readFileSync(file, "utf8");
    // Node takes a text without any certificate for "nobody is trusted" and reports each server as unverifiable.
    if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  } catch (error) {
    const { code = "unreadable" } = error as NodeJS.ErrnoException;
    throw new DiscoveryError("TM_DISCOVERY_SECRET", `caFile ${file} cannot be read (${code})`);
  }
  throw new DiscoveryError("TM_DISCOVERY_SECRET", `caFile ${file} has no certificate in PEM form`);
}
