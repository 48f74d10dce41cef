// Minimises Rosenbrock's function by the client that openapi-generator makes for Go.
//
//	with_go URL N
//
// Prints a JSON document with what was found.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strconv"
	"strings"

	lbfgsd "lbfgsd"
)

func rosenbrock(x []float64) (float64, []float64) {
	loss, gradient := 0.0, make([]float64, len(x))
	for i := 0; i+1 < len(x); i++ {
		rise, rest := x[i+1]-x[i]*x[i], 1-x[i]
		loss += 100*rise*rise + rest*rest
		gradient[i] += -400*x[i]*rise - 2*rest
		gradient[i+1] += 200 * rise
	}
	return loss, gradient
}

// Numbers of a vector, in which those that are not finite would be strings.
func numbers(values []interface{}) []float64 {
	result := make([]float64, len(values))
	for i, value := range values {
		result[i] = value.(float64)
	}
	return result
}

func values(numbers []float64) []interface{} {
	result := make([]interface{}, len(numbers))
	for i, number := range numbers {
		result[i] = number
	}
	return result
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	url := os.Args[1]
	count, err := strconv.Atoi(os.Args[2])
	check(err)
	configuration := lbfgsd.NewConfiguration()
	configuration.Servers = lbfgsd.ServerConfigurations{{URL: url}}
	client := lbfgsd.NewAPIClient(configuration)
	ctx := context.Background()

	start := make([]float64, count)
	for i := range start {
		start[i] = 1
		if i%2 == 0 {
			start[i] = -1.2
		}
	}
	options := lbfgsd.NewCreateOptions()
	options.SetMode(lbfgsd.ROBUST)
	options.SetToleranceGrad(1e-8)
	request := lbfgsd.NewCreateRequest()
	request.SetX0(start)
	request.SetOptions(*options)
	request.SetLabels(map[string]string{"from": "go"})
	session, _, err := client.SessionsAPI.CreateSession(ctx).CreateRequest(*request).Execute()
	check(err)

	var turn *lbfgsd.Turn
	told := 0
	for {
		// Without it the generated client sends null, which is no object.
		begin := *lbfgsd.NewStepRequest()
		turn, _, err = client.StepsAPI.BeginStep(ctx, session.Id).StepRequest(begin).Execute()
		check(err)
		for turn.State == lbfgsd.EVALUATING {
			loss, gradient := rosenbrock(numbers(turn.Evaluation.X))
			tell := lbfgsd.NewTellRequest()
			tell.SetLoss(loss)
			tell.SetGradient(values(gradient))
			turn, _, err = client.EvaluationsAPI.
				TellResult(ctx, session.Id, turn.Evaluation.Number).TellRequest(*tell).Execute()
			check(err)
			told++
		}
		reason := turn.Result.Get().Reason
		if reason != "max_iterations" && reason != "max_evaluations" {
			break
		}
	}

	problem := "none"
	_, _, err = client.SessionsAPI.GetSession(ctx, "s"+strings.Repeat("0", 20)).Execute()
	var failure *lbfgsd.GenericOpenAPIError
	if errors.As(err, &failure) {
		problem = failure.Model().(lbfgsd.Problem).Type
	}
	result := turn.Result.Get()
	check(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"session":     session.Id,
		"x":           turn.X,
		"loss":        result.Loss,
		"reason":      result.Reason,
		"converged":   result.Converged,
		"evaluations": told,
		"problem":     problem,
	}))
}
