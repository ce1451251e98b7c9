/**
 * `npm run image [-- NAME:TAG]`: builds the image of all roles. The same commit gives the same image id, whenever it is
 * built on the same base and the same kind of processor.
 */
import { buildImage } from './cluster/build-image.ts';
import { describeSource } from './cluster/source.ts';

const [name = 'largesse:dev'] = process.argv.slice(2);
const source = describeSource();
const id = buildImage({ name, dockerfile: 'Dockerfile', source }, process.env);
if (id === undefined) process.exitCode = 1;
else console.log(`${name} of ${source.revision}: ${id}`);
