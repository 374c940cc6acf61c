/**
 * multipart/form-data (RFC 7578), read by the parser of Node's own fetch: strict about boundaries and line ends, and nobody here wrote it,
 * so it notices when something between client and replica has damaged a body.
 */
import { fingerprint } from "./content.ts";
import type { Call } from "./endpoint.ts";
import { ApiError, invalid } from "./errors.ts";

export interface FormFile {
  /** Name of the field. */
  readonly field: string;
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

export interface Form {
  readonly model: string;
  readonly files: readonly FormFile[];
  /** First value of a text field. */
  text(field: string): string | undefined;
  /** Follows from every field but `model`, in order, with names, types and bytes of files; not from the boundary. */
  readonly fingerprint: string;
}

export async function readForm({ body, contentType }: Call): Promise<Form | ApiError> {
  let data: FormData;
  try {
    data = await new Response(new Uint8Array(body), { headers: { "content-type": contentType } }).formData();
  } catch (error) {
    return new ApiError(400, "invalid_multipart", `the body is not multipart/form-data: ${String(error)}`);
  }
  const model = data.get("model");
  if (typeof model !== "string") return invalid("you must provide a model parameter", "model");
  const files: FormFile[] = [];
  const described: unknown[] = [];
  for (const [field, value] of data) {
    if (typeof value === "string") {
      if (field !== "model") described.push([field, value]);
      continue;
    }
    const bytes = new Uint8Array(await value.arrayBuffer());
    files.push({ field, name: value.name, type: value.type, bytes });
    described.push([field, value.name, value.type, fingerprint(bytes)]);
  }
  const text = (field: string): string | undefined => {
    const value = data.get(field);
    return typeof value === "string" ? value : undefined;
  };
  return { model, files, text, fingerprint: fingerprint(JSON.stringify(described)) };
}
