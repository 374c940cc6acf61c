/** Tokens and passwords of sources: from the environment or a file, read when they are needed, so that a rotated one counts at the next question. */
import { readFileSync, statSync } from "node:fs";
import type { SecretReference } from "../config/discovery-model.ts";
import { DiscoveryError } from "./errors.ts";
import { MAX_SECRET_BYTES } from "./limits.ts";

/**
 * The secret without surrounding white space. No message of this ever has it.
 * @throws DiscoveryError TM_DISCOVERY_SECRET when there is none, or one that no header could carry
 */
export function readSecret(reference: SecretReference, environment: NodeJS.ProcessEnv = process.env): string {
  const where = reference.env === undefined ? `file ${reference.file}` : `environment variable ${reference.env}`;
  const value = reference.env === undefined ? fromFile(reference.file) : environment[reference.env];
  const secret = value?.trim() ?? "";
  if (secret === "") throw new DiscoveryError("TM_DISCOVERY_SECRET", `${where} holds no secret`);
  if (!/^[\x20-\x7e]+$/.test(secret))
    throw new DiscoveryError("TM_DISCOVERY_SECRET", `what ${where} holds is not one line of visible ASCII`);
  return secret;
}

function fromFile(path: string): string {
  try {
    if (statSync(path).size > MAX_SECRET_BYTES)
      throw new DiscoveryError("TM_DISCOVERY_SECRET", `file ${path} has more than ${MAX_SECRET_BYTES} bytes`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof DiscoveryError) throw error;
    const { code = "unreadable" } = error as NodeJS.ErrnoException;
    throw new DiscoveryError("TM_DISCOVERY_SECRET", `file ${path} cannot be read (${code})`);
  }
}
