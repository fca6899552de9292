// Shows the document of this server. Addresses are relative: the page also works under a path prefix.
SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#viewer",
  deepLinking: true,
  validatorUrl: null, // no badge from another host
});
