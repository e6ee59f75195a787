export { authzModule } from "./module.ts";
