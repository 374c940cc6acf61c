/** Tokens, certificates and keys in files. */
import { readFileSync } from "node:fs";
import { ServerError } from "../errors.ts";

const MIN_TOKEN_LENGTH = 16;

/** The token in a file, without the line end. @throws ServerError TM_API_CREDENTIALS */
export function readToken(file: string): string {
  const token = readCredential(file).trim();
  if (/^[\x21-\x7e]+$/.test(token) && token.length >= MIN_TOKEN_LENGTH) return token;
  throw new ServerError(
    "TM_API_CREDENTIALS",
    `${file} holds no token: at least ${MIN_TOKEN_LENGTH} visible ASCII characters without spaces`,
  );
}

/** @throws ServerError TM_API_CREDENTIALS */
export function readCredential(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new ServerError("TM_API_CREDENTIALS", error instanceof Error ? error.message : String(error));
  }
}
