/** A file as a source of service discovery. */
export { fileSource } from "./file-source.ts";
