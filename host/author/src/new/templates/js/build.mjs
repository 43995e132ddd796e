// Makes the component. `pace plugin build` runs this, checks the result, and makes it plugin.wasm.
import { componentize } from '@bytecodealliance/componentize-js';
import { mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';

const { component } = await componentize({
  sourcePath: resolve('plugin.js'),
  witPath: resolve('wit'),
  worldName: 'component',
  // Pace provides no others. The remaining feature, stdio, is the log: console.log, and why a hook threw.
  disableFeatures: ['clocks', 'fetch-event', 'http', 'random'],
});
await mkdir('build', { recursive: true });
await writeFile('build/plugin.wasm', component);
