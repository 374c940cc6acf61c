/** DNS as a source of service discovery. */
export { dnsSource } from "./dns-source.ts";
