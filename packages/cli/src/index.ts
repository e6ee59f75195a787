export { sqlReference } from "./reference.ts";
