// Makes the component. `pace plugin build` runs this, checks the result, and makes it plugin.wasm.
import { componentize } from '@bytecodealliance/componentize-js';
import { mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';

await mkdir('build', { recursive: true });
await writeFile('build/entry.js', "import { made } from '../engine.js';\nexport * from '../plugin.js';\nmade();\n");
try {
  const { component } = await componentize({
    sourcePath: resolve('build/entry.js'),
    witPath: resolve('wit'),
    worldName: 'component',
    // Pace provides the others: clocks, random, and stdio, which is the log: console.log, and why a hook threw.
    disableFeatures: ['fetch-event', 'http'],
  });
  await writeFile('build/plugin.wasm', component);
} catch (error) {
  // Where plugin.js is wrong is behind the first line, which names a program that the author has not called.
  console.error(error.message.replace(/^Failed to initialize component .*\n/, ''));
  process.exitCode = 1;
}
