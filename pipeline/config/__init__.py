"""What a person may choose: params.yaml as typed, frozen objects, and other values for single keys of it."""
